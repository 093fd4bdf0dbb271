//! The real program, end to end, each test in a directory of its own.

mod bad_input;
mod books;
mod configuration;
mod crash;
mod figures;
mod output;
mod processes;
mod program;
