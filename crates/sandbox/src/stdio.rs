use std::fmt;
use std::os::fd::OwnedFd;

/// Where a command's standard streams come from and go to.
pub struct Stdio<'a> {
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) error: Output,
    pub(crate) lines: Option<Callback<'a>>,
}

/// What is called with every line.
pub(crate) type Callback<'a> = &'a mut dyn FnMut(&[u8]);

/// Standard input of a command.
#[derive(Debug, Default)]
pub enum Input {
    /// `/dev/null`.
    #[default]
    Null,
    /// The caller's own.
    Inherit,
    /// These bytes, then the end of the file.
    Bytes(Vec<u8>),
}

/// Standard output or standard error of a command.
#[derive(Debug, Default)]
pub enum Output {
    /// `/dev/null`.
    #[default]
    Null,
    /// The caller's own.
    Inherit,
    /// To the callback of [`Stdio::lines`]; both streams together, in the order written.
    Lines,
    /// To this descriptor.
    Descriptor(OwnedFd),
}

impl<'a> Stdio<'a> {
    /// Reads nothing, and what it prints is dropped.
    #[must_use]
    pub fn null() -> Self {
        Self { input: Input::Null, output: Output::Null, error: Output::Null, lines: None }
    }

    /// All three streams are the caller's.
    #[must_use]
    pub fn inherit() -> Self {
        Self { input: Input::Inherit, output: Output::Inherit, error: Output::Inherit, lines: None }
    }

    /// Standard output and error go, line by line and without the newline, to `line`, on the calling thread.
    /// Lines longer than 16 KiB come in pieces.
    #[must_use]
    pub fn lines(line: &'a mut dyn FnMut(&[u8])) -> Self {
        Self { input: Input::Null, output: Output::Lines, error: Output::Lines, lines: Some(line) }
    }

    /// Replaces standard input.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Replaces standard output.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Replaces standard error.
    #[must_use]
    pub fn error(mut self, error: Output) -> Self {
        self.error = error;
        self
    }
}

impl fmt::Debug for Stdio<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, output, error, lines } = self;
        let lines = lines.is_some();
        f.debug_struct("Stdio")
            .field("input", input)
            .field("output", output)
            .field("error", error)
            .field("lines", &lines)
            .finish()
    }
}
