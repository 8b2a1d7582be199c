//! The page and its API over HTTP.

mod access;
mod answers;
mod edit;
mod fixture;
mod load;
mod schema;
