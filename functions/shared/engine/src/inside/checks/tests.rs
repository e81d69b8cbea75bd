#![allow(clippy::unwrap_used)]

use super::*;

fn description() -> ClusterDescription {
    ClusterDescription {
        created_at: None,
        endpoint: None,
        certificate_authority: None,
        status: "ACTIVE".to_owned(),
        authentication_mode: Some("API".to_owned()),
        auto_mode: false,
        node_role: None,
        public_endpoint: true,
        private_endpoint: true,
        version: None,
    }
}

fn facts(description: Option<ClusterDescription>, agent: Option<&str>) -> EksFacts {
    EksFacts {
        cluster: ClusterArn::new("aws", "eu-west-1", "111122223333", "blue").unwrap(),
        description: Described::Known(description),
        agent: Described::Known(agent.map(str::to_owned)),
        failures: Vec::new(),
    }
}

/// The one thing that is missing: its reason and the remediation.
fn one(facts: &EksFacts, api_access: ApiAccess) -> String {
    let missing = facts.missing(api_access);
    assert_eq!(missing.len(), 1, "{missing:?}");
    format!("{}; {}", missing[0].reason, missing[0].remediation)
}

#[test]
fn nothing_is_missing_of_a_cluster_that_has_all() {
    for status in ["ACTIVE", "UPDATING"] {
        let description = ClusterDescription { status: status.to_owned(), ..description() };
        let facts = facts(Some(description), Some(status));
        for api_access in [ApiAccess::Open, ApiAccess::Closed, ApiAccess::Unreachable] {
            assert_eq!(facts.missing(api_access), []);
        }
    }
}

#[test]
fn a_cluster_that_is_gone_is_told_once() {
    let words = one(&facts(None, None), ApiAccess::Unreachable);
    assert!(words.starts_with("EKS does not know cluster blue; "), "{words}");
    assert!(words.contains("retire it"), "{words}");
}

#[test]
fn a_cluster_that_is_not_active_says_what_it_is() {
    for status in ["CREATING", "PENDING", "DELETING", "FAILED"] {
        let description = ClusterDescription { status: status.to_owned(), ..description() };
        let words = one(&facts(Some(description), Some("ACTIVE")), ApiAccess::Open);
        assert!(words.starts_with(&format!("cluster blue is {status}; ")), "{words}");
    }
}

#[test]
fn a_private_endpoint_is_missing_only_where_it_could_not_be_reached() {
    let private = ClusterDescription { public_endpoint: false, ..description() };
    let facts = facts(Some(private), Some("ACTIVE"));
    assert!(one(&facts, ApiAccess::Unreachable).contains("VPC"));
    assert_eq!(facts.missing(ApiAccess::Closed), []);
    assert_eq!(facts.missing(ApiAccess::Open), []);
}

#[test]
fn the_mode_config_map_is_missing_only_where_the_caller_is_not_known() {
    let mode = Some("CONFIG_MAP".to_owned());
    let facts = facts(
        Some(ClusterDescription { authentication_mode: mode, ..description() }),
        Some("ACTIVE"),
    );
    assert!(one(&facts, ApiAccess::Closed).contains("aws-auth"));
    assert_eq!(facts.missing(ApiAccess::Unreachable), []);
    assert_eq!(facts.missing(ApiAccess::Open), []);
}

#[test]
fn an_agent_that_is_absent_or_ill_is_told() {
    assert!(one(&facts(Some(description()), None), ApiAccess::Open).contains("no EKS add-on"));
    for status in ["CREATING", "DEGRADED", "CREATE_FAILED", "UPDATE_FAILED", "DELETING"] {
        let words = one(&facts(Some(description()), Some(status)), ApiAccess::Open);
        assert!(words.contains(&format!("of cluster blue is {status}")), "{words}");
    }
}

#[test]
fn a_cluster_in_auto_mode_has_the_agent_built_in() {
    let auto = || ClusterDescription { auto_mode: true, ..description() };
    assert_eq!(facts(Some(auto()), None).missing(ApiAccess::Open), []);
    assert!(one(&facts(Some(auto()), Some("DEGRADED")), ApiAccess::Open).contains("is DEGRADED"));
}

#[test]
fn a_denial_names_the_permission_and_hides_no_other_word() {
    let mut facts = facts(Some(description()), None);
    facts.description = Described::Denied("failed to describe cluster blue".to_owned());
    let missing = facts.missing(ApiAccess::Open);
    assert_eq!(missing.len(), 2);
    assert!(missing[0].remediation.contains("eks:DescribeCluster"));
    facts.agent = Described::Denied("failed to describe add-on".to_owned());
    assert!(facts.missing(ApiAccess::Open)[1].remediation.contains("eks:DescribeAddon"));
    facts.agent = Described::Unknown;
    assert_eq!(facts.missing(ApiAccess::Open).len(), 1);
}
