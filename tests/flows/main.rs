//! Flows, run end to end with the published Python executor, our Node.js executor and shells.
//!
//! `corpus/` is a package with a folder per flow and an `expect.json` in each, which says what must come of it: outputs, how often
//! each node ran, which events there were in which order, what was said, the exit status. `OOCANA_CORPUS_ROUNDS` runs all of
//! them so many times; a sample goes through mosquitto, all of them with `OOCANA_CORPUS_MOSQUITTO=1`.

mod broker;
mod cli;
mod corpus;
mod faults;
mod large;
mod layers;
mod mutated;
mod servers;
mod stage;
