//! A seeded mutator: the same inputs for the same seed on every machine.

/// The longest input that is made, in bytes.
const LONGEST: usize = 64 * 1024;

/// Makes damaged inputs out of good ones.
#[derive(Debug)]
pub struct Mutator<'a> {
    state: u64,
    seeds: &'a [Vec<u8>],
    words: &'a [&'a str],
}

impl<'a> Mutator<'a> {
    /// A mutator of `seeds`, which must not be empty, with words of their language.
    #[must_use]
    pub fn new(seed: u64, seeds: &'a [Vec<u8>], words: &'a [&'a str]) -> Mutator<'a> {
        Mutator { state: seed, seeds, words }
    }

    /// The next input: a seed with one to eight changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.any_seed().to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let length = 1 + self.below(16);
        let end = (at + length).min(input.len());
        match self.below(10) {
            0 => self.alter(input, |_, byte| byte ^ 1),
            1 => self.alter(input, |random, _| random),
            2 => self.alter(input, |random, byte| byte.wrapping_add(random % 7).wrapping_sub(3)),
            3 => self.alter(input, |random, _| b"\0/.\n :=-~0189\xff\x80"[usize::from(random) % 15]),
            4 => drop(input.drain(at..end)),
            5 => input.truncate(at),
            6 => {
                let piece = input[at..end].to_vec();
                let times = 1 + self.below(4);
                input.splice(at..at, piece.repeat(times));
            }
            7 => {
                let word = self.any_word().as_bytes();
                let end = if self.below(2) == 0 { at } else { (at + word.len()).min(input.len()) };
                input.splice(at..end, word.iter().copied());
            }
            8 => {
                // A block of a tar, or a long piece of anything, moved or doubled.
                let from = self.below(input.len() / 512 + 1) * 512;
                let piece = input[from..(from + 512).min(input.len())].to_vec();
                let to = (self.below(input.len() / 512 + 1) * 512).min(input.len());
                input.splice(to..to, piece);
            }
            _ => {
                let other = self.any_seed();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }

    fn alter(&mut self, input: &mut [u8], change: fn(u8, u8) -> u8) {
        if !input.is_empty() {
            let at = self.below(input.len());
            let random = self.random() as u8;
            input[at] = change(random, input[at]);
        }
    }

    fn any_seed(&mut self) -> &'a [u8] {
        let number = self.below(self.seeds.len());
        &self.seeds[number]
    }

    fn any_word(&mut self) -> &'a str {
        let number = self.below(self.words.len());
        self.words[number]
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random() % limit.max(1) as u64) as usize
    }

    /// SplitMix64: small, fast, and the same everywhere.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
