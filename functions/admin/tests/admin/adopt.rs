//! Associations of others become bindings.

use pod_identity_core::{Association, DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG};
use pod_identity_world::{Caller, UpdateAssociation};
use serde_json::{Value, json};

use crate::office::{ACCOUNT, Office, TRUSTED, cluster, role, text};

fn foreign(office: &Office, service_account: &str, role_name: &str) -> Association {
    let (blue, role) = (cluster("blue"), role(role_name).to_string());
    let mut world = office.ports.world();
    world.add_foreign_association(&blue, "domino-compute", service_account, &role).unwrap()
}

fn adopt(associations: Value) -> Value {
    json!({ "action": "adopt", "cluster": "blue", "associations": associations })
}

fn one(service_account: &str, name: &str) -> Value {
    json!({ "namespace": "domino-compute", "serviceAccount": service_account, "as": name })
}

fn assert_adopted(office: &Office, theirs: &Association, name: &str, role_name: &str) {
    let ours = office.there("blue", &theirs.service_account).unwrap();
    assert_eq!((&ours.id, &ours.role_arn), (&theirs.id, &role(role_name).to_string()));
    assert_eq!((&*ours.tags[DEPLOYMENT_TAG], &*ours.tags[SERVICE_ACCOUNT_TAG]), ("acme", name));
    let again = office.reconcile("blue");
    assert!(again.needed.is_empty() && again.plans.is_empty(), "{again:?}");
}

pub(crate) fn somebody() -> Caller {
    Caller {
        name: "somebody".to_owned(),
        account: ACCOUNT.to_owned(),
        region: "eu-west-1".to_owned(),
    }
}

#[test]
fn reconcile_that_cannot_be_asked_to_take_over_is_told() {
    let office = Office::registered();
    let theirs = foreign(&office, "svc-etl-sa", "etl");
    // The request for one of two clusters is refused as often as it is sent.
    office.ports.world().bus.refusals = [1, 1, 1].into();
    let applied = office.adopted(adopt(json!([one("svc-etl-sa", "svc-etl")])));
    let words = text(&applied);
    assert!(
        words.contains("could not be asked for") && words.contains("next scheduled"),
        "{words}"
    );
    office.reconcile("blue");
    assert_adopted(&office, &theirs, "svc-etl", "etl");
}

#[test]
fn a_foreign_association_is_planned_adopted_and_steady_after_it() {
    let office = Office::registered();
    let theirs = foreign(&office, "svc-etl-sa", "etl");
    let payload = adopt(json!([one("svc-etl-sa", "svc-etl")]));
    let planned = office.planned(payload.clone());
    let words = text(&planned);
    assert!(words.contains("would be bound as svc-etl with role etl"), "{words}");
    assert!(words.contains("for svc-etl, adopted"), "{words}");
    assert_eq!(office.there("blue", "svc-etl-sa"), Some(theirs.clone()));
    let applied = office.adopted(payload.clone());
    assert_eq!(applied["accepted"], 1, "{}", text(&applied));
    let world = office.ports.world();
    let asked = world.bus.events.iter().filter(|it| it.detail_type == "Reconciliation Requested");
    let asked: Vec<_> =
        asked.filter(|it| it.detail["clusterArn"] == json!(cluster("blue"))).collect();
    let last = &asked.last().unwrap().detail;
    assert_eq!(last["reason"], "an administrator let bindings adopt associations");
    let same = asked.iter().filter(|it| it.detail["eventId"] == last["eventId"]).count();
    assert_eq!(same, 1, "reconcile is asked once, when all is in the ledger");
    drop(world);
    office.reconcile("blue");
    assert_adopted(&office, &theirs, "svc-etl", "etl");
    let status = office.done(json!({ "action": "status", "serviceAccount": "svc-etl" }));
    let rows = status["bindings"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "bound on its own cluster alone: {}", text(&status));
    let again = office.planned(payload);
    assert!(text(&again).contains("not this deployment's already"), "{}", text(&again));
}

#[test]
fn a_reconciliation_between_the_binding_and_the_permission_does_no_harm() {
    let office = Office::registered();
    let theirs = foreign(&office, "svc-etl-sa", "etl");
    office.bind("svc-etl", "report");
    assert_eq!(office.there("blue", "svc-etl-sa"), Some(theirs.clone()), "it is blocked");
    let payload = adopt(json!([one("svc-etl-sa", "svc-etl")]));
    let planned = office.planned(payload.clone());
    assert!(text(&planned).contains("role change, to role"), "{}", text(&planned));
    let mut apply = planned["apply"].clone();
    (apply["actor"], apply["reason"]) = (json!("ada"), json!("ticket 4711"));
    office.done(apply);
    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    let word = &history["history"][0];
    assert_eq!((&word["actor"], &word["reason"]), (&json!("ada"), &json!("ticket 4711")));
    assert_eq!(word["change"]["hadRole"], json!(role("etl")));
    let words = text(&history);
    assert!(words.contains("Association Adoption Permitted") && words.contains("noted"), "{words}");
    assert!(words.contains("of domino-compute/svc-etl-sa on cluster blue, with role"), "{words}");
    assert!(words.contains("; role change, to role"), "{words}");
    office.reconcile("blue");
    assert_adopted(&office, &theirs, "svc-etl", "report");
}

#[test]
fn what_changes_between_plan_and_apply_is_not_adopted_before_it_is_planned_again() {
    let office = Office::registered();
    let theirs = foreign(&office, "svc-etl-sa", "etl");
    let payload = adopt(json!([one("svc-etl-sa", "svc-etl")]));
    let mut apply = payload.clone();
    apply["mode"] = json!("apply");
    let why = office.refused(apply.clone());
    assert!(why.contains("`plan` is not given") && why.contains("with role etl"), "{why}");
    apply["plan"] = office.planned(payload.clone())["plan"].clone();
    let update = UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: theirs.id.clone(),
        role_arn: Some(role("train").to_string()),
        disable_session_tags: Some(true),
        ..UpdateAssociation::default()
    };
    office.ports.world().update_pod_identity_association(&somebody(), &update).unwrap();
    let why = office.refused(apply.clone());
    assert!(why.contains("is not what `plan`") && why.contains("with role train"), "{why}");
    assert!(why.contains("Plan again"), "{why}");
    office.reconcile("blue");
    let left = office.there("blue", "svc-etl-sa").unwrap();
    assert!(left.tags.is_empty(), "{left:?}");
    office.adopted(payload);
    office.reconcile("blue");
    assert_adopted(&office, &theirs, "svc-etl", "train");
    assert!(office.there("blue", "svc-etl-sa").unwrap().disable_session_tags);
}

#[test]
fn one_that_appears_after_the_plan_is_not_among_all() {
    let office = Office::registered();
    foreign(&office, "svc-etl-sa", "etl");
    let payload = json!({ "action": "adopt", "cluster": "blue", "all": true });
    let planned = office.planned(payload.clone());
    assert!(text(&planned).contains(planned["plan"].as_str().unwrap()), "{}", text(&planned));
    foreign(&office, "svc-report-sa", "report");
    let mut apply = payload.clone();
    apply["plan"] = planned["plan"].clone();
    let why = office.refused(apply.clone());
    assert!(why.contains("svc-report-sa"), "a plan with a digest is held to it: {why}");
    apply["mode"] = json!("apply");
    assert!(office.refused(apply).contains("svc-report-sa"));
    assert_eq!(office.adopted(payload)["accepted"], 2);
}

#[test]
fn an_adoption_that_broke_off_goes_on_with_its_plan() {
    let office = Office::registered();
    foreign(&office, "svc-etl-sa", "etl");
    foreign(&office, "svc-report-sa", "report");
    let mut payload = json!({ "action": "adopt", "cluster": "blue", "all": true });
    payload["plan"] = office.planned(payload.clone())["plan"].clone();
    assert_eq!(office.applied(payload.clone())["accepted"], 2);
    let again = office.applied(payload);
    assert_eq!(again["accepted"], 2, "{}", text(&again));
}

#[test]
fn all_foreign_ones_are_adopted_by_the_naming_rule_and_others_are_told_why_not() {
    let office = Office::registered();
    office.bind("svc-bound", "etl");
    office
        .ports
        .world()
        .add_role(&"arn:aws:iam::111122223333:role/admin".parse().unwrap(), TRUSTED);
    let etl = foreign(&office, "svc-etl-sa", "etl");
    let plain = foreign(&office, "plain", "report");
    // Its name would be that of a binding elsewhere.
    foreign(&office, "svc-bound", "etl");
    {
        let (mut world, blue) = (office.ports.world(), cluster("blue"));
        let (admin, etl) = ("arn:aws:iam::111122223333:role/admin", role("etl").to_string());
        world.add_foreign_association(&blue, "domino-compute", "svc-admin-sa", admin).unwrap();
        world.add_foreign_association(&blue, "kube-system", "karpenter", &etl).unwrap();
        let owner = "arn:aws:eks:eu-west-1:111122223333:addon/blue/aws-ebs-csi-driver/1";
        world.add_addon_association(&blue, "domino-compute", "ebs", &etl, owner).unwrap();
    }
    let orphan = foreign(&office, "svc-lost-sa", "train");
    let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-forgotten")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    office.ports.world().tag_resource(&somebody(), &orphan.arn, &tags).unwrap();

    let payload = json!({ "action": "adopt", "cluster": "blue", "all": true });
    let planned = office.planned(payload.clone());
    let words = text(&planned);
    assert_eq!(planned["accepted"], 2, "{words}");
    for why in [
        "refused: role `arn:aws:iam::111122223333:role/admin` is not in ROLES",
        "refused: namespace `kube-system` is not in NAMESPACES",
        "alone may change it",
        "refused: an orphan: ask with `orphans`",
        "refused: svc-bound is bound already, to role",
    ] {
        assert!(words.contains(why), "{why}: {words}");
    }
    office.adopted(payload);
    office.reconcile("blue");
    assert_adopted(&office, &etl, "svc-etl", "etl");
    assert_adopted(&office, &plain, "plain", "report");
    let named = office.adopted(adopt(json!([one("svc-lost-sa", "svc-found")])));
    assert_eq!(named["accepted"], 1, "{}", text(&named));
    office.reconcile("blue");
    assert_adopted(&office, &orphan, "svc-found", "train");
    let addon = office.planned(adopt(json!([one("ebs", "svc-ebs")])));
    assert_eq!(addon["accepted"], 0, "{}", text(&addon));
}

#[test]
fn two_associations_are_not_bound_as_one_service_account() {
    let office = Office::registered();
    foreign(&office, "svc-etl-sa", "etl");
    foreign(&office, "svc-etl-2", "etl");
    let both = json!([one("svc-etl-sa", "svc-etl"), one("svc-etl-2", "svc-etl")]);
    let planned = office.planned(adopt(both));
    assert_eq!(planned["accepted"], 0, "{}", text(&planned));
    assert!(text(&planned).contains("several associations would be bound as svc-etl"));
    let neither = office.refused(json!({ "action": "adopt", "cluster": "blue" }));
    assert!(neither.contains("say which associations"), "{neither}");
}

#[test]
fn one_association_is_not_bound_as_two_service_accounts() {
    let office = Office::registered();
    foreign(&office, "svc-etl-sa", "etl");
    let both = json!([one("svc-etl-sa", "svc-etl"), one("svc-etl-sa", "svc-next")]);
    let planned = office.planned(adopt(both));
    let words = text(&planned);
    assert_eq!(planned["accepted"], 0, "{words}");
    let why = "the association of domino-compute/svc-etl-sa would go to svc-etl, svc-next";
    assert!(words.contains(why), "{words}");
    let twice = json!([one("svc-etl-sa", "svc-etl"), one("svc-etl-sa", "svc-etl")]);
    let planned = office.planned(adopt(twice));
    let words = text(&planned);
    assert_eq!(planned["accepted"], 0, "{words}");
    assert!(words.contains("is named 2 times for svc-etl"), "{words}");
}

/// Binds a service account to the place of another's association on blue, later than all before.
fn claims(office: &Office, name: &str) {
    office.advance(1);
    office.applied(json!({
        "action": "bind", "serviceAccount": name, "roleArn": role("etl"),
        "clusters": ["blue"], "kubernetes": { "serviceAccount": "shared" },
    }));
}

#[test]
fn of_two_who_want_the_place_the_one_who_holds_it_adopts() {
    let office = Office::registered();
    let theirs = foreign(&office, "shared", "etl");
    claims(&office, "svc-old");
    claims(&office, "svc-next");
    office.reconcile("blue");
    for name in ["svc-next", "svc-other"] {
        let planned = office.planned(adopt(json!([one("shared", name)])));
        let words = text(&planned);
        assert_eq!(planned["accepted"], 0, "{words}");
        assert!(words.contains("adopt it as svc-old, or unbind svc-old first"), "{words}");
    }
    let adopted = office.adopted(adopt(json!([one("shared", "svc-old")])));
    assert_eq!(adopted["accepted"], 1, "{}", text(&adopted));
    office.reconcile("blue");
    let ours = office.there("blue", "shared").unwrap();
    assert_eq!((&ours.id, &*ours.tags[SERVICE_ACCOUNT_TAG]), (&theirs.id, "svc-old"));
}

#[test]
fn the_binding_that_was_recorded_first_adopts_before_any_reconciliation() {
    let office = Office::registered();
    foreign(&office, "shared", "etl");
    claims(&office, "svc-old");
    claims(&office, "svc-next");
    for (name, accepted) in [("svc-next", 0), ("svc-old", 1)] {
        let planned = office.planned(adopt(json!([one("shared", name)])));
        assert_eq!(planned["accepted"], accepted, "{name}: {}", text(&planned));
    }
}

#[test]
fn a_plan_fixes_all_that_the_binding_will_put_there() {
    let target = |name: &str| json!(format!("arn:aws:iam::444455556666:role/{name}"));
    let policy = |version: &str| json!(format!("{{\"Version\":\"{version}\",\"Statement\":[]}}"));
    let first = (target("lake"), policy("2012-10-17"));
    for (then, shown) in [
        ((target("pond"), policy("2012-10-17")), "target role arn:aws:iam::444455556666:role/pond"),
        ((target("lake"), policy("2008-10-17")), "session policy {\"Version\":\"2008-10-17\""),
    ] {
        let office = Office::registered();
        let theirs = foreign(&office, "svc-etl-sa", "etl");
        let bind = |(target, policy): &(Value, Value)| {
            office.advance(1);
            office.applied(json!({
                "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("report"),
                "targetRoleArn": target, "disableSessionTags": true, "sessionPolicy": policy,
            }));
        };
        bind(&first);
        let payload = adopt(json!([one("svc-etl-sa", "svc-etl")]));
        let planned = office.planned(payload.clone());
        let words = text(&planned);
        for part in [first.0.as_str().unwrap(), first.1.as_str().unwrap(), "no session tags"] {
            assert!(words.contains(part), "{part}: {words}");
        }
        bind(&then);
        let why = office.refused(planned["apply"].clone());
        assert!(why.contains("is not what `plan`") && why.contains(shown), "{shown}: {why}");
        office.reconcile("blue");
        assert_eq!(office.there("blue", "svc-etl-sa"), Some(theirs));
    }
}

#[test]
fn what_is_not_what_was_planned_is_told_for_the_first_two_hundred() {
    let office = Office::registered();
    for at in 0..202 {
        foreign(&office, &format!("svc-{at:03}-sa"), "etl");
    }
    let all = json!({ "action": "adopt", "cluster": "blue", "all": true });
    let planned = office.planned(all.clone());
    assert!(text(&planned).contains("svc-201-sa"), "an answer has them all: {}", text(&planned));
    let mut apply = all;
    apply["mode"] = json!("apply");
    let why = office.refused(apply);
    assert!(why.contains("svc-199-sa") && !why.contains("svc-200-sa"), "{why}");
    assert!(why.contains("and 2 more, which the plan tells"), "{why}");
}

#[test]
fn the_headline_of_a_plan_counts_what_reconcile_would_really_take_over() {
    let office = Office::registered();
    foreign(&office, "svc-etl-sa", "etl");
    foreign(&office, "svc-train-sa", "report");
    office.ports.world().set_trust(&role("report"), crate::office::UNTRUSTED);
    let both = json!([one("svc-etl-sa", "svc-etl"), one("svc-train-sa", "svc-train")]);
    let planned = office.planned(adopt(both));
    let words = text(&planned);
    assert!(words.starts_with("Cluster blue: 1 of 2 associations would be adopted"), "{words}");
    assert!(words.contains("1 more would be bound"), "{words}");
    assert_eq!((&planned["accepted"], &planned["adopted"]), (&json!(2), &json!(1)));
}

#[test]
fn an_adoption_that_names_nothing_is_told_what_to_give() {
    let office = Office::registered();
    let why = office.refused(json!({ "action": "adopt", "cluster": "blue" }));
    for way in ["\"associations\": [{\"namespace\"", "\"all\": true", "\"orphans\": true"] {
        assert!(why.contains(way), "{why}");
    }
}
