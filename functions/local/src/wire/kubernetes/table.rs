//! Pods in columns: what `kubectl get pods` asks for, and prints as it is told.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A list of pods, or one pod, as a `Table`.
pub(super) fn pods(answer: &Value, now: Timestamp) -> Value {
    let is_list = answer["items"].is_array();
    let one = std::slice::from_ref(answer);
    let pods = answer["items"].as_array().map_or(one, Vec::as_slice);
    let columns = [("Name", "name"), ("Ready", ""), ("Status", ""), ("Restarts", ""), ("Age", "")];
    let columns = columns.map(|(name, format)| {
        json!({ "name": name, "type": "string", "format": format, "description": "", "priority": 0 })
    });
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": if is_list { answer["metadata"].clone() } else { json!({}) },
        "columnDefinitions": columns,
        "rows": pods.iter().map(|pod| row(pod, now)).collect::<Vec<_>>(),
    })
}

fn row(pod: &Value, now: Timestamp) -> Value {
    let metadata = &pod["metadata"];
    let phase = pod["status"]["phase"].as_str().unwrap_or("Unknown");
    let containers = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let ready = if phase == "Running" { containers } else { 0 };
    let status = match phase {
        _ if metadata["deletionTimestamp"].is_string() => "Terminating",
        "Succeeded" => "Completed",
        "Failed" => "Error",
        phase => phase,
    };
    let created: Option<Timestamp> =
        metadata["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
    let seconds = created.map(|created| now.duration_since(created).as_secs().max(0));
    json!({
        "cells": [
            metadata["name"],
            format!("{ready}/{containers}"),
            status,
            "0",
            seconds.map(age),
        ],
        "object": {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        },
    })
}

fn age(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
