//! Files → documents → checked fleets and rollouts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use domain::config::{
    Finding, Findings, Fleet, FleetDocument, Place, Rollout, RolloutDocument, hint, nearest,
};
use domain::journal::{Digest, digest_of};
use domain::name::FleetName;
use domain::ports::Clock;
use serde_json::Value;

use super::complaint::{Complaint, Complaints};
use super::slots::{Slot, of_fleet, of_rollout};
use super::source::{Source, Unreadable};
use super::typed::{moved, read};
use crate::registry::{self, Here};
use crate::yaml::{self, Node};

/// The kinds of documents that there are.
const KINDS: [&str; 2] = ["Fleet", "Rollout"];

/// A fleet with the document it comes from.
#[derive(Debug)]
pub struct FleetFile {
    /// The checked values.
    pub fleet: Fleet,
    /// The folder that its relative paths are relative to.
    pub folder: PathBuf,
    origin: Origin,
}

/// A rollout with the document it comes from.
#[derive(Debug)]
pub struct RolloutFile {
    /// The checked values, for each of its fleets; at least one. What does not depend on a fleet
    /// is the same in all.
    pub parts: Vec<Rollout>,
    /// The folder that its relative paths are relative to.
    pub folder: PathBuf,
    origin: Origin,
}

impl FleetFile {
    /// The document.
    pub fn document(&self) -> Value {
        self.origin.node.to_value()
    }

    /// The digest of the document, whatever its layout and comments.
    pub fn digest(&self) -> Digest {
        digest_of(&self.origin.node.to_value())
    }
}

impl RolloutFile {
    /// What the rollout means for its first fleet: name, target, risk, deadline and gates are the
    /// same for all.
    pub fn rollout(&self) -> &Rollout {
        &self.parts[0]
    }

    /// The document.
    pub fn document(&self) -> Value {
        self.origin.node.to_value()
    }

    /// The digest of the document, whatever its layout and comments.
    pub fn digest(&self) -> Digest {
        digest_of(&self.origin.node.to_value())
    }

    /// Something that turned out to be wrong with the document later on, with its place.
    pub fn complain(&self, finding: Finding) -> Complaints {
        let mut complaints = Complaints::default();
        complaints.push(self.origin.complaint(finding));
        complaints
    }
}

/// Every document of some files, checked.
#[derive(Debug)]
pub struct Documents {
    /// The fleets, by name.
    pub fleets: BTreeMap<FleetName, FleetFile>,
    /// The rollouts, in the order of the files.
    pub rollouts: Vec<RolloutFile>,
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadDocuments {
    /// One cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// They can be read, and something is wrong with them.
    #[error(transparent)]
    Wrong(#[from] Complaints),
    /// There is no document in them.
    #[error("{0}: holds no document; write one with kind: Fleet and one with kind: Rollout")]
    Empty(String),
    /// The rollout that is asked for is not there, or it has to be said which one is meant.
    #[error("{0}")]
    Rollout(String),
}

/// Where a document comes from.
#[derive(Debug)]
struct Origin {
    source: Arc<Source>,
    node: Node,
}

impl Origin {
    fn complaint(&self, finding: Finding) -> Complaint {
        let unknown = finding.message.starts_with("unknown field");
        let find = if unknown { Node::find_key } else { Node::find };
        let mark = find(&self.node, &finding.place);
        Complaint::new(&self.source, mark, finding)
    }
}

impl Documents {
    /// The rollout of that name, or the only one.
    pub fn rollout(&self, name: Option<&str>) -> Result<&RolloutFile, BadDocuments> {
        let names: Vec<&str> = self.rollouts.iter().map(|r| r.rollout().name.as_str()).collect();
        let bad = |message: String| Err(BadDocuments::Rollout(message));
        match (name, self.rollouts.as_slice()) {
            (Some(name), all) => match all.iter().find(|r| r.rollout().name.as_str() == name) {
                Some(found) => Ok(found),
                None => {
                    bad(format!("no document describes a rollout {name:?}{}", hint(name, names)))
                }
            },
            (None, [only]) => Ok(only),
            (None, []) => bad("no document has kind: Rollout; add one".to_owned()),
            (None, _) => bad(format!("choose one by --rollout: {}", names.join(", "))),
        }
    }

    /// The fleet of a part of a rollout.
    pub fn fleet(&self, rollout: &Rollout) -> &FleetFile {
        // A rollout is only accepted with its fleets.
        &self.fleets[&rollout.fleet]
    }
}

/// Reads and checks files.
///
/// Nothing outside the files is looked at; the clock is only handed to adapters.
pub fn load(paths: &[PathBuf], clock: &Arc<dyn Clock>) -> Result<Documents, BadDocuments> {
    let sources: Vec<_> = paths.iter().map(|path| Source::read(path)).collect::<Result<_, _>>()?;
    of_sources(&sources, clock)
}

/// A document that is no file: what complaints call it, the folder that its relative paths are relative
/// to, and the document itself.
pub type Given = (String, PathBuf, Value);

/// Checks documents that are no files.
pub fn of_given(given: &[Given], clock: &Arc<dyn Clock>) -> Result<Documents, BadDocuments> {
    let source = |(name, folder, document): &Given| {
        // JSON is YAML; over several lines, so that a complaint shows its own.
        let text = format!("{document:#}");
        Source::given(name, folder.clone(), text)
    };
    of_sources(&given.iter().map(source).collect::<Vec<_>>(), clock)
}

fn of_sources(sources: &[Arc<Source>], clock: &Arc<dyn Clock>) -> Result<Documents, BadDocuments> {
    let mut reading = Reading::new(Arc::clone(clock));
    for source in sources {
        reading.file(source);
    }
    if reading.documents == 0 && reading.complaints.is_empty() {
        let names: Vec<String> = sources.iter().map(|s| s.path().display().to_string()).collect();
        return Err(BadDocuments::Empty(names.join(", ")));
    }
    Ok(reading.finish()?)
}

/// What was read so far.
struct Reading {
    clock: Arc<dyn Clock>,
    complaints: Complaints,
    documents: usize,
    names: Vec<(&'static str, String, String)>,
    fleet_names: Vec<FleetName>,
    /// Whether a fleet has no name that can be read; nobody can tell then what is not there.
    nameless: bool,
    fleets: BTreeMap<FleetName, FleetFile>,
    rollouts: Vec<(RolloutDocument, Origin)>,
}

impl Reading {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            complaints: Complaints::default(),
            documents: 0,
            names: Vec::new(),
            fleet_names: Vec::new(),
            nameless: false,
            fleets: BTreeMap::new(),
            rollouts: Vec::new(),
        }
    }

    fn here(&self, origin: &Origin) -> Here {
        // Adapters are only checked here, and start nothing.
        let state = Some(PathBuf::from("/nonexistent"));
        Here { folder: origin.source.folder(), clock: Arc::clone(&self.clock), state }
    }

    fn file(&mut self, source: &Arc<Source>) {
        match yaml::documents(source.text()) {
            Err(error) => {
                let finding = Finding { place: Place::root(), message: error.message };
                self.complaints.push(Complaint::new(source, error.mark, finding));
            }
            Ok(nodes) => {
                for node in nodes {
                    self.documents += 1;
                    self.document(Origin { source: Arc::clone(source), node });
                }
            }
        }
    }

    fn document(&mut self, origin: Origin) {
        let value = origin.node.to_value();
        match kind(&value) {
            Ok("Fleet") => self.fleet(&value, origin),
            Ok(_) => self.rollout(&value, origin),
            Err(finding) => self.complaints.push(origin.complaint(finding)),
        }
    }

    fn fleet(&mut self, value: &Value, origin: Origin) {
        // A rollout may name a fleet that is wrong in other ways.
        let name = value.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.and_then(|name| FleetName::new(name).ok());
        self.nameless |= name.is_none();
        self.fleet_names.extend(name);
        let document: FleetDocument = match read(value) {
            Ok(document) => document,
            Err(findings) => return self.all(&origin, findings.into_vec()),
        };
        self.unique("Fleet", document.metadata.name.as_str(), &origin);
        let here = self.here(&origin);
        let mut findings = adapters(of_fleet(&document), &here);
        match document.check() {
            Ok(fleet) if findings.is_empty() => {
                let name = fleet.name.clone();
                let folder = origin.source.folder();
                self.fleets.insert(name, FleetFile { fleet, folder, origin });
            }
            Ok(_) => self.all(&origin, findings),
            Err(more) => {
                findings.extend(more.into_vec());
                self.all(&origin, findings);
            }
        }
    }

    fn rollout(&mut self, value: &Value, origin: Origin) {
        match read::<RolloutDocument>(value) {
            Ok(document) => {
                self.unique("Rollout", document.metadata.name.as_str(), &origin);
                self.rollouts.push((document, origin));
            }
            Err(findings) => self.all(&origin, findings.into_vec()),
        }
    }

    fn unique(&mut self, kind: &'static str, name: &str, origin: &Origin) {
        let place = Place::root().key("metadata").key("name");
        let at = origin.source.at(origin.node.find(&place));
        let same = |known: &&(&'static str, String, String)| known.0 == kind && known.1 == name;
        if let Some((.., first)) = self.names.iter().find(same) {
            let message = format!("the {kind} {name:?} is there twice, first at {first}");
            self.complaints.push(origin.complaint(Finding { place, message }));
        }
        self.names.push((kind, name.to_owned(), at));
    }

    fn all(&mut self, origin: &Origin, findings: Vec<Finding>) {
        for finding in findings {
            self.complaints.push(origin.complaint(finding));
        }
    }

    fn finish(mut self) -> Result<Documents, Complaints> {
        let mut rollouts = Vec::new();
        for (document, origin) in std::mem::take(&mut self.rollouts) {
            if self.nameless {
                self.fleet_names.extend(document.spec.fleets.iter().cloned());
            }
            let here = self.here(&origin);
            let mut findings = adapters(of_rollout(&document), &here);
            let fleets: Vec<_> = self.fleets.values().map(|file| &file.fleet).collect();
            match document.check(&self.fleet_names, &fleets) {
                Ok(parts) if findings.is_empty() => {
                    let folder = origin.source.folder();
                    rollouts.push(RolloutFile { parts, folder, origin });
                }
                Ok(_) => self.all(&origin, findings),
                Err(more) => {
                    findings.extend(more.into_vec());
                    self.all(&origin, findings);
                }
            }
        }
        if self.complaints.is_empty() {
            return Ok(Documents { fleets: self.fleets, rollouts });
        }
        Err(self.complaints.sorted())
    }
}

/// What a document describes.
fn kind(value: &Value) -> Result<&'static str, Finding> {
    let finding = |place: Place, message: String| Err(Finding { place, message });
    let Value::Object(fields) = value else {
        let form = "apiVersion: presurge/v1, kind: Fleet, metadata: …, spec: …";
        return finding(Place::root(), format!("expected a document such as {form}"));
    };
    let place = Place::root().key("kind");
    match fields.get("kind") {
        Some(Value::String(kind)) => match KINDS.iter().find(|known| *known == kind) {
            Some(known) => Ok(known),
            None => {
                let near = nearest(kind, KINDS);
                let near = near.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
                let message = format!("unknown kind {kind:?}{near} (there are: Fleet, Rollout)");
                finding(place, message)
            }
        },
        Some(_) => finding(place, "expected Fleet or Rollout".to_owned()),
        None => {
            finding(Place::root(), "the field \"kind\" is missing: Fleet or Rollout".to_owned())
        }
    }
}

/// What the registry says about the adapters of a document.
fn adapters(slots: Vec<Slot<'_>>, here: &Here) -> Vec<Finding> {
    let mut findings = Findings::default();
    let mut bodies = Vec::new();
    for slot in slots {
        let known = slot.port.names();
        if slot.required && slot.slot.is_empty() {
            let message = format!("names no {}; add one of: {}", slot.port, known.join(", "));
            findings.add(slot.place.clone(), message);
        }
        let judged = slot.slot.entries().iter().filter(|entry| {
            let judgement = slot.port.judge(&entry.adapter, slot.fields);
            judgement
                .map_err(|message| findings.add(slot.place.key(&entry.adapter), message))
                .is_ok()
        });
        let good: Vec<_> = judged.collect();
        if let [one, other, ..] = good.as_slice() {
            let message = format!("names both {} and {}; keep one", one.adapter, other.adapter);
            findings.add(slot.place.key(&other.adapter), message);
        }
        for entry in good {
            if let Err(found) = registry::check(slot.port, entry, here) {
                let place = slot.place.key(&entry.adapter);
                bodies.extend(moved(found.into_vec(), &place));
            }
        }
    }
    let mut all = findings.into_vec();
    all.extend(bodies);
    all
}
