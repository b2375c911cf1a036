//! Identity: verifies the sender of a request. Workers sign, an operator shows the token, a browser shows the cookie
//! that it received for the token.

pub mod auth;
pub mod instances;
pub mod logouts;
pub mod session;
pub mod token;
pub mod wrong_token_limits;
