//! Identity: verifies who sends a request. Workers sign, an operator shows the token, a browser shows the cookie that it got for it.

pub mod auth;
pub mod guesses;
pub mod instances;
pub mod logouts;
pub mod session;
pub mod token;
