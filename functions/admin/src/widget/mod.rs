//! The function as a custom widget of a CloudWatch dashboard: a page to look at.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html>
//!
//! CloudWatch invokes with the rights of whoever looks at the dashboard, whenever it refreshes. So
//! what comes from a widget only reads: nothing that writes is in reach of this module.

mod card;
mod draw;
mod facts;
mod html;
mod look;
pub(crate) mod page;
mod style;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::actions;
use crate::context::{AdminContext, OVER};
use crate::request::{self, Mode};
use page::Links;
use style::Theme;

/// What CloudWatch shows beside the widget's settings. Its own samples answer with bare Markdown.
const DESCRIPTION: &str = include_str!("describe.md");

/// What a widget asks for.
#[derive(Debug)]
pub(crate) enum WidgetRequest {
    /// What it is and takes.
    Description,
    /// The page, or an action's answer.
    View(WidgetView),
}

/// The page, or an action's answer.
#[derive(Debug)]
pub(crate) struct WidgetView {
    theme: Theme,
    /// Whether links lead to pages of their own: who asks is not CloudWatch.
    plain: bool,
    /// The payload without what is the widget's.
    fields: Map<String, Value>,
}

/// What a payload asks for, if a widget sent it.
pub(crate) fn read(payload: &Value) -> Option<WidgetRequest> {
    let mut fields = payload.as_object()?.clone();
    if fields.get("describe") == Some(&Value::Bool(true)) && !fields.contains_key("action") {
        return Some(WidgetRequest::Description);
    }
    let context = fields.remove("widgetContext");
    let marked = fields.remove("widget").is_some_and(|mark| mark == true);
    if context.is_none() && !marked {
        return None;
    }
    let theme = match context.as_ref().and_then(|context| context.get("theme")?.as_str()) {
        Some("dark") => Theme::Dark,
        _ => Theme::Light,
    };
    let plain = fields.remove("plainLinks").is_some_and(|plain| plain == true);
    Some(WidgetRequest::View(WidgetView { theme, plain, fields }))
}

/// Answers a widget with what CloudWatch shows: HTML, or Markdown for the description. `arn` is
/// the function's own, which a click calls.
pub(crate) async fn answer(admin: AdminContext<'_>, asked: WidgetRequest, arn: &str) -> Value {
    let view = match asked {
        WidgetRequest::Description => return Value::String(DESCRIPTION.to_owned()),
        WidgetRequest::View(view) => view,
    };
    if view.fields.contains_key("action") {
        let text = action(admin, view.fields).await;
        return Value::String(page::words(&text, view.theme));
    }
    let links = if view.plain { Links::Plain } else { Links::Dashboard { arn } };
    Value::String(match look::look(&admin).await {
        Ok(facts) => page::page(&facts, links, view.theme),
        Err(why) => {
            tracing::warn!(%why, "a widget was not answered");
            page::words(&format!("The page cannot be shown: {why}"), view.theme)
        }
    })
}

/// What a widget shows whose answer does not come in time.
pub(crate) fn too_late(asked: WidgetRequest) -> Value {
    Value::String(match asked {
        WidgetRequest::Description => DESCRIPTION.to_owned(),
        WidgetRequest::View(view) => {
            let what = view.fields.get("action").and_then(Value::as_str).unwrap_or("the page");
            page::words(&format!("{what}: {OVER}"), view.theme)
        }
    })
}

/// The words of an action's answer.
async fn action(admin: AdminContext<'_>, fields: Map<String, Value>) -> String {
    let request = match request::read(&Value::Object(fields), actions::ACTIONS) {
        Ok(request) => request,
        Err(help) => {
            return help.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        }
    };
    if request.mode == Mode::Apply {
        return format!(
            "{}: a widget only reads: invoke the function from the console or the AWS CLI for `\"mode\": \"apply\"`",
            request.action.name
        );
    }
    match actions::answer(admin, None, &request).await {
        Ok(answer) => answer.text,
        Err(refusal) => refusal.0,
    }
}
