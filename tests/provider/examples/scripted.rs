//! A scripted provider to point a client at: `cargo run -p rejoinder-scripted-provider --example scripted -- 0.3` answers
//! with what it was asked and fails 30 % of its requests.

use std::time::Duration;

use rejoinder_scripted_provider::{Answer, Mixture, Script, ScriptedProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let failing = std::env::args().nth(1).map_or(Ok(0.0), |share| share.parse())?;
    let provider = ScriptedProvider::start(Script::mixture(Mixture::new(1, failing, Answer::echo()))).await?;
    println!("listening on {}", provider.base_url());
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        println!("{:?}", provider.billed());
    }
}
