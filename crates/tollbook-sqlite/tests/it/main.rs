//! What the back end promises beyond its unit tests.

mod suite;
