//! Where people are told: webhooks.

pub mod alertmanager;
mod post;
pub mod secret;
pub mod slack;
#[cfg(test)]
mod tests;
pub mod webhook;
