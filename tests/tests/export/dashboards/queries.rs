//! The queries of Hubble's dashboards: of their panels, and of the variables in these.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The beginnings of names of metrics that other exporters have, and whose they are.
const OTHER_EXPORTERS: [(&str, &str); 5] = [
    ("cilium_", "the agent's own metrics"),
    ("container_", "metrics of the kubelet's cAdvisor"),
    ("kube_", "metrics of kube-state-metrics"),
    ("node_namespace_pod_container:", "a recording rule over cAdvisor's CPU seconds"),
    ("namespace_workload_pod:", "a recording rule over kube-state-metrics' owners of pods"),
];

/// A dashboard.
#[derive(Debug)]
pub(super) struct Dashboard {
    /// The name of its file.
    pub(super) file: String,
    pub(super) panels: Vec<Panel>,
    /// In the order in which they depend on each other.
    pub(super) variables: Vec<Variable>,
}

/// A query of a panel.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) query: String,
}

/// A variable whose values are those of a label.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    /// `label_values(SELECTOR, LABEL)` or `label_values(LABEL)`.
    pub(super) query: String,
    /// Whether all values can be selected at once.
    pub(super) has_all: bool,
}

/// The values of variables.
pub(super) type Values = BTreeMap<String, String>;

impl Dashboard {
    /// Reads the content of a file.
    pub(super) fn read(file: &str, content: &Value) -> Result<Self> {
        let mut panels = Vec::new();
        add_panels(&content["panels"], &mut panels);
        ensure!(!panels.is_empty(), "{file}: no queries");
        let list = content["templating"]["list"].as_array().context("no variables")?;
        let list = list.iter().filter(|variable| variable["type"] != "datasource");
        let variables = list.map(|variable| Variable::read(variable).with_context(|| format!("{file}: {variable}")));
        Ok(Self { file: file.to_owned(), panels, variables: variables.collect::<Result<_>>()? })
    }
}

impl Variable {
    fn read(variable: &Value) -> Result<Self> {
        ensure!(variable["type"] == "query", "a variable of another type");
        let query = &variable["query"];
        let query = query["query"].as_str().or_else(|| query.as_str()).context("no query")?;
        ensure!(label_query(query).is_some(), "a query of another form");
        Ok(Self {
            name: variable["name"].as_str().context("no name")?.to_owned(),
            query: query.to_owned(),
            has_all: variable["includeAll"] == true,
        })
    }
}

/// Adds the queries of panels, and of those within rows.
fn add_panels(list: &Value, panels: &mut Vec<Panel>) {
    for panel in list.as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or_default();
        let queries = panel["targets"].as_array().into_iter().flatten().filter_map(|target| target["expr"].as_str());
        panels.extend(queries.map(|query| Panel { title: title.to_owned(), query: query.to_owned() }));
        add_panels(&panel["panels"], panels);
    }
}

/// Returns label and selector of a variable's query.
pub(super) fn label_query(query: &str) -> Option<(&str, Option<&str>)> {
    let arguments = query.trim().strip_prefix("label_values(")?.strip_suffix(')')?;
    Some(match arguments.rsplit_once(',') {
        Some((selector, label)) => (label.trim(), Some(selector.trim())),
        None => (arguments.trim(), None),
    })
}

/// Returns whose metrics a query reads, if they are not Hubble's.
pub(super) fn other_exporter(query: &str) -> Option<&'static str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let has_name = |start: &str| query.split(|c: char| !is_of_name(c)).any(|name| name.starts_with(start));
    OTHER_EXPORTERS.iter().find(|(start, _)| has_name(start)).map(|(_, whose)| *whose)
}

/// Replaces `$name` and `${name}` by the values of variables. Others stay, such as the groups of regular expressions.
pub(super) fn substitute(text: &str, values: &Values) -> String {
    let (mut result, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        result += before;
        let known = reference(after).and_then(|(name, behind)| Some((values.get(name)?, behind)));
        rest = match known {
            Some((value, behind)) => {
                result += value;
                behind
            }
            None => {
                result.push('$');
                after
            }
        };
    }
    result + rest
}

/// Returns the name of a variable behind its sign, and what is behind it.
fn reference(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        let (inside, behind) = braced.split_once('}')?;
        // A format may follow the name.
        return Some((inside.split(':').next()?, behind));
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    Some(text.split_at(end))
}

#[test]
fn variables_are_replaced() {
    let values = [("source", "a"), ("source_namespace", ".*"), ("__rate_interval", "1m")];
    let values: Values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (text, expected) in [
        ("x{a=~\"$source_namespace\", b=\"$source\"}[$__rate_interval]", "x{a=~\".*\", b=\"a\"}[1m]"),
        ("${source}${source:regex}$source", "aaa"),
        (
            "label_replace(x, \"source\", \"$1\", \"b\", \"(.*)\") $",
            "label_replace(x, \"source\", \"$1\", \"b\", \"(.*)\") $",
        ),
        ("$unknown ${unknown} ${source", "$unknown ${unknown} ${source"),
    ] {
        assert_eq!(substitute(text, &values), expected);
    }
}

#[test]
fn forms_of_queries_are_read() {
    for (query, expected) in [
        ("label_values(source_namespace)", Some(("source_namespace", None))),
        ("label_values(a{b=~\"c\", d=\"e\"}, f)", Some(("f", Some("a{b=~\"c\", d=\"e\"}")))),
        ("query_result(a)", None),
    ] {
        assert_eq!(label_query(query), expected, "{query}");
    }
    for (query, is_other) in [
        ("label_values(cilium_version, cluster)", true),
        ("sum(node_namespace_pod_container:container_cpu_usage_seconds_total:sum_irate{a=\"b\"})", true),
        ("sum(rate(hubble_drop_total{pod=\"c\", container=\"d\"}[1m])) by (source)", false),
    ] {
        assert_eq!(other_exporter(query).is_some(), is_other, "{query}");
    }
}
