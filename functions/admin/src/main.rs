//! The admin function as Lambda starts it.

// The SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    admin::run().await
}
