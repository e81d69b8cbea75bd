//! Lists that take several pages.

use local::scene;
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned, deactivated, registered};

const COUNT: usize = 13;

/// A batch larger than the queue's default, as Lambda may be set to send.
fn batch(events: &[String]) -> String {
    let record = |(at, event)| json!({ "messageId": format!("m-{at}"), "body": event });
    let records: Vec<Value> = events.iter().enumerate().map(record).collect();
    json!({ "Records": records }).to_string()
}

fn names() -> impl Iterator<Item = (i64, String)> {
    (100..).zip((0..COUNT).map(|at| format!("svc-{at:02}")))
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let mut world = scene::world(jiff::Timestamp::now()).unwrap();
    world.settings.page_size = 3;
    let green = scene::cluster("green").unwrap();
    for at in 0..COUNT {
        let role = scene::role(&format!("team-{at:02}")).unwrap();
        let name = format!("theirs-{at:02}");
        world.add_foreign_association(&green, "domino-compute", &name, role.as_str()).unwrap();
        world.iam.attach(
            &scene::role("green-eks-nodes").unwrap(),
            &format!("arn:aws:iam::aws:policy/Other{at}"),
            jiff::Timestamp::now(),
        );
    }
    let mut scenario = Scenario::of(world, &[("NODE_ROLE_POLICY_SLOTS", "20")]).await;
    scenario.stage.world().settings.policies_per_role = 20;
    scenario.deliver(&[registered("green", 1)]).await;

    let events: Vec<String> =
        names().map(|(second, name)| assigned(&name, "new", second)).collect();
    let answer = scenario.invoke(batch(&events)).await;
    let done = local::InvocationResult::Answer(json!({ "batchItemFailures": [] }));
    assert_eq!(answer, done, "{}", scenario.log());
    for (_, name) in names() {
        assert!(scenario.association("green", &format!("{name}-sa")).is_some(), "{name}");
        assert_eq!(scenario.condition("green", &name).await.as_deref(), Some("ready"));
    }
    // The list is exhaustive: roles of everybody's associations, whatever page they are on.
    let listed = scenario.listed("green");
    for at in 0..COUNT {
        assert!(listed.contains(&format!("team-{at:02}")), "{at}: {listed:?}");
    }

    let events: Vec<String> = names().map(|(at, name)| deactivated(&name, at + 100)).collect();
    assert_eq!(scenario.invoke(batch(&events)).await, done, "{}", scenario.log());
    let world = scenario.stage.world();
    let left = world.eks.associations(&green);
    assert_eq!(left.len(), COUNT + 1, "theirs, and the add-on's");
    assert_eq!(world.count("DeletePodIdentityAssociation"), COUNT);
}
