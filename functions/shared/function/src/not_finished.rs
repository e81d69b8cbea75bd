//! What a function fails with.

use lambda_runtime::Diagnostic;

/// What was asked for is not finished. Lambda makes an asynchronous invocation again after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotFinished(pub String);

/// What it is called in an answer's `errorType`, by which people and alarms tell errors apart.
const ERROR_TYPE: &str = "DominoPodIdentity.NotFinished";

impl From<NotFinished> for Diagnostic {
    fn from(error: NotFinished) -> Self {
        Self { error_type: ERROR_TYPE.to_owned(), error_message: error.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_type_has_a_name_of_ours() {
        let shown = Diagnostic::from(NotFinished("send it again".to_owned()));
        assert_eq!(shown.error_type, "DominoPodIdentity.NotFinished");
        assert_eq!(shown.error_message, "send it again");
    }
}
