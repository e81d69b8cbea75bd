//! Domino's own list of service accounts, and unbinding those that it has deactivated.

use pod_identity_core::roster::Ceilings;
use pod_identity_engine::DominoSource;
use pod_identity_engine::ports::{
    DominoAccount, DominoAnswer, DominoPage, DominoQuery, DominoReader, ErrorKind, PortError,
};
use serde_json::json;

use crate::office::{Office, text};

/// A Domino of so many accounts, active or not; one without any is not there.
#[derive(Default)]
pub(crate) struct Roll {
    accounts: Vec<(&'static str, bool)>,
    percent: u8,
}

impl Roll {
    pub(crate) fn of(accounts: &[(&'static str, bool)]) -> Self {
        Self { accounts: accounts.to_vec(), percent: 50 }
    }

    pub(crate) fn source(&self) -> DominoSource<'_> {
        let ceilings = Ceilings { percent: self.percent, ..Ceilings::default() };
        DominoSource { reader: self, unbinds: false, ceilings }
    }

    fn page(&self, query: DominoQuery) -> Result<DominoPage, PortError> {
        if self.accounts.is_empty() {
            return Err(PortError {
                operation: "list",
                object: "service accounts of Domino".to_owned(),
                kind: ErrorKind::Passing,
                code: None,
                message: None,
                source: "no connection".into(),
            });
        }
        let listed =
            self.accounts.iter().filter(|(_, active)| *active || query.include_deactivated);
        let account = |(name, _): &(&str, bool)| DominoAccount {
            id: (*name).to_owned(),
            username: (*name).to_owned(),
            email: None,
        };
        Ok(DominoPage { accounts: listed.map(account).collect(), ..DominoPage::default() })
    }
}

impl DominoReader for Roll {
    fn service_accounts(&self, query: DominoQuery) -> DominoAnswer<'_> {
        let page = self.page(query);
        Box::pin(async move { page })
    }
}

/// svc-etl, svc-report and svc-train are bound.
fn office(accounts: &[(&'static str, bool)]) -> Office {
    let mut office = Office::registered();
    for (name, role) in [("svc-etl", "etl"), ("svc-report", "report"), ("svc-train", "train")] {
        office.bind(name, role);
    }
    office.domino = Some(Roll::of(accounts));
    office
}

const ONE: [(&str, bool); 3] = [("svc-etl", false), ("svc-report", true), ("svc-free", true)];

#[test]
fn who_is_deactivated_gone_or_free_is_told_and_plan_mode_unbinds_nobody() {
    let office = office(&ONE);
    let made = office.writers_made.get();
    let answer = office.done(json!({ "action": "domino" }));
    let words = text(&answer);
    assert_eq!(answer["found"]["deactivated"], json!(["svc-etl"]), "{words}");
    assert_eq!(answer["found"]["gone"], json!(["svc-train"]));
    assert_eq!(answer["found"]["unassigned"], json!(["svc-free"]));
    assert!(words.contains("3 are bound") && words.contains("nothing was"), "{words}");
    assert!(words.contains("- association domino-compute/svc-etl-sa"), "{words}");
    assert_eq!(office.writers_made.get(), made);
    assert!(text(&office.done(json!({ "action": "status" }))).contains("3 service accounts"));
}

#[test]
fn deactivated_accounts_are_unbound_with_the_reason_and_once() {
    let office = office(&ONE);
    let apply = json!({ "action": "domino", "mode": "apply", "actor": "ada" });
    let answer = office.done(apply.clone());
    assert!(
        text(&answer).contains("reconcile was asked to go on: blue, green"),
        "{}",
        text(&answer)
    );
    office.reconcile("blue");
    assert!(text(&office.done(json!({ "action": "status" }))).contains("2 service accounts"));
    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    assert_eq!(history["history"][0]["detailType"], "Service Account Deactivated");
    assert_eq!(history["history"][0]["reason"], "deactivated in Domino", "{}", text(&history));
    assert_eq!(history["history"][0]["actor"], "ada");

    let again = office.done(apply);
    assert!(text(&again).contains("Nobody is to be unbound"), "{}", text(&again));
    assert_eq!(again["changed"]["results"], json!([]));
    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    assert_eq!(history["known"], 2);
}

#[test]
fn above_the_ceiling_nobody_is_unbound_and_the_way_out_is_said() {
    let mut office = office(&[("svc-etl", false), ("svc-report", false), ("svc-train", true)]);
    let apply = json!({ "action": "domino", "mode": "apply" });
    let answer = office.done(apply.clone());
    assert!(text(&answer).contains("raise DOMINO_UNBIND_MAX"), "{}", text(&answer));
    assert_eq!(answer["found"]["doubt"]["doubt"], "tooMany");
    assert!(text(&office.done(json!({ "action": "status" }))).contains("3 service accounts"));
    office.domino = Some(Roll { percent: 70, ..office.domino.take().unwrap() });
    office.done(apply);
    assert!(text(&office.done(json!({ "action": "status" }))).contains("1 service accounts"));
}

#[test]
fn a_domino_that_does_not_answer_or_is_not_asked_is_said_with_the_way_out() {
    let mut office = office(&[]);
    let apply = json!({ "action": "domino", "mode": "apply" });
    let why = office.refused(apply.clone());
    assert!(why.contains("failed to list service accounts of Domino: no connection"), "{why}");
    office.domino = None;
    let why = office.refused(apply);
    assert!(why.contains("DOMINO_URL") && why.contains("DOMINO_TOKEN_SECRET"), "{why}");
    assert!(office.refused(json!({ "action": "domino", "other": 1 })).contains("unknown field"));
}
