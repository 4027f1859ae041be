//! What was advised, and what following it would have saved.

use std::sync::Arc;

use super::super::Server;
use super::super::problem::Problem;
use super::super::route::{Call, Route};
use crate::apply::advice::Account;
use crate::apply::advice::rows::Shown;
use crate::apply::chain;

pub fn routes() -> Vec<Route> {
    vec![Route::get(
        "/v1/advice",
        "Every plan that was told as advice, what came of it, and what following it would have saved",
        shown,
    )]
}

async fn shown(server: Arc<Server>, call: Call) -> Result<Shown, Problem> {
    let advice = chain::read(server.store.as_ref()).await?;
    let waiting = server.told_advice.get().waiting.clone();
    let account = Account { advice, waiting };
    Ok(account.shown(|piece| call.who.sees(server.labels(&piece.advised.fleet))))
}
