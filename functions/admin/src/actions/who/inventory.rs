//! Every association of a cluster.

use pod_identity_core::DominoName;
use pod_identity_engine::ledger::Condition;
use pod_identity_engine::ports::AssociationFilter;
use serde_json::{Value, json};

use super::{WhoFormat, whose};
use crate::actions::status::state_word;
use crate::answer::{Answer, Refusal};
use crate::associations;
use crate::context::AdminContext;
use crate::lists::place;
use crate::table::Table;
use pod_identity_engine::Error;

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    cluster: &str,
    format: WhoFormat,
) -> Result<Answer, Refusal> {
    let registry = admin.registry().await?;
    let cluster = admin.named(&registry, cluster)?;
    let bindings = admin.bindings().await?;
    let access = admin.access(&registry, &cluster);
    let listed = associations::seen(admin, &access, &AssociationFilter::default())
        .await
        .map_err(Error::from)?;
    let conditions = admin.conditions(bindings.keys().map(|name| (name, &cluster))).await?;
    let deployment = &admin.settings.plan.deployment;
    let mut table = Table::new(&[
        "namespace",
        "service account",
        "owner",
        "domino name",
        "role",
        "target role",
        "condition",
        "association",
    ]);
    let mut rows: Vec<Value> = Vec::new();
    for association in &listed.found {
        let at = place(&association.namespace, &association.service_account);
        let (owner, name) = whose(association, &cluster, deployment, &conditions);
        // Somebody else's association can hold the place that a binding wants.
        let wants = |condition: &&Condition| at.is_some() && condition.wanted == at;
        let name = name.or_else(|| {
            conditions.values().find(wants).map(|condition| condition.service_account.clone())
        });
        let condition =
            name.as_ref().and_then(|name| conditions.get(&(name.clone(), cluster.clone())));
        let state = condition.map(|condition| state_word(Some(condition)));
        table.row([
            association.namespace.clone(),
            association.service_account.clone(),
            owner.word().to_owned(),
            name.as_ref().map(DominoName::to_string).unwrap_or_default(),
            association.role_arn.clone(),
            association.target_role_arn.clone().unwrap_or_default(),
            state.unwrap_or_default().to_owned(),
            association.id.clone(),
        ]);
        rows.push(json!({
            "namespace": association.namespace,
            "serviceAccount": association.service_account,
            "owner": owner,
            "ownerArn": association.owner_arn,
            "dominoName": name,
            "roleArn": association.role_arn,
            "targetRoleArn": association.target_role_arn,
            "condition": state,
            "association": association.id,
        }));
    }
    let lack = listed.lack();
    if let Some(why) = lack.as_ref().filter(|_| format != WhoFormat::Table) {
        // A program would take what is there for all there is.
        return Err(Refusal(format!(
            "cluster {}: {why}, or ask for the table, which shows the {} others",
            cluster.name(),
            rows.len()
        )));
    }
    let text = match format {
        WhoFormat::Csv => table.csv()?,
        WhoFormat::Json => format!("{:#}\n", Value::Array(rows.clone())),
        WhoFormat::Table => {
            let mut text =
                format!("Cluster {} has {} associations.\n", cluster.name(), table.len());
            if table.len() > 0 {
                text += &format!("\n{table}");
            }
            if let Some(why) = lack {
                text += &format!("! {why}\n");
            }
            text
        }
    };
    Ok(Answer::of(text)
        .with("clusterArn", json!(cluster))
        .with("associations", json!(rows))
        .with("unread", json!(listed.unread)))
}
