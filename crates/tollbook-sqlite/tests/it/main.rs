//! What the back end promises beyond its unit tests.

mod damage;
mod files;
mod lossless;
mod sealed;
mod suite;
