//! The resource types and schemas that a directory knows, and the look-up of names in them.

use std::sync::Arc;

use super::rules::{Index, UniqueRule, indexes, unique_rules};
use super::{Attribute, Kept, Mutability, Returned, Schema};
use crate::scim::path::{AttrPath, AttrRef};
use crate::scim::urn;

/// An extension of a resource type (RFC 7643 §6, `schemaExtensions`).
#[derive(Clone, Debug)]
pub struct Extension {
    pub schema: Arc<Schema>,
    pub required: bool,
}

/// A resource type: its endpoint, base schema and extensions (RFC 7643 §6).
#[derive(Clone, Debug)]
pub struct ResourceType {
    pub name: String,
    /// The path segment with its slash, `/Users`.
    pub endpoint: String,
    pub description: String,
    /// The prefix of the ids that are given to its resources, `directory_user`.
    pub id_prefix: String,
    pub schema: Arc<Schema>,
    pub extensions: Vec<Extension>,
    /// What the store keeps an index of, built-in attributes first.
    pub indexes: Vec<Index>,
    /// Values that the database keeps unique besides `userName`.
    pub unique: Vec<UniqueRule>,
    common: Arc<Schema>,
    hides_attributes: bool,
}

/// What a type is made of; the rest follows from it.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) endpoint: String,
    pub(super) description: String,
    pub(super) id_prefix: String,
    pub(super) schema: Arc<Schema>,
    pub(super) extensions: Vec<Extension>,
}

/// What a name means for a resource type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolution<'t> {
    Attribute(AttrRef<'t>),
    /// The path names a whole extension (`urn:…:enterprise:2.0:User`).
    Extension(ExtensionRef<'t>),
}

/// A whole extension object, named by its URI.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionRef<'t>(pub &'t Schema);

impl PartialEq for ExtensionRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl ResourceType {
    pub(super) fn new(parts: Parts, common: &Arc<Schema>) -> Self {
        let Parts { name, endpoint, description, id_prefix, schema, extensions } = parts;
        let mut made = Self {
            name,
            endpoint,
            description,
            id_prefix,
            schema,
            extensions,
            indexes: Vec::new(),
            unique: Vec::new(),
            common: Arc::clone(common),
            hides_attributes: false,
        };
        made.indexes = indexes(&made);
        made.unique = unique_rules(&made);
        let hidden = made.schemas().any(|schema| schema.attributes.iter().any(hides));
        made.hides_attributes = hidden;
        made
    }

    /// The type with more extensions.
    pub(super) fn extended(&self, extensions: Vec<Extension>, common: &Arc<Schema>) -> Self {
        let parts = Parts {
            name: self.name.clone(),
            endpoint: self.endpoint.clone(),
            description: self.description.clone(),
            id_prefix: self.id_prefix.clone(),
            schema: Arc::clone(&self.schema),
            extensions: self.extensions.iter().cloned().chain(extensions).collect(),
        };
        Self::new(parts, common)
    }

    /// True when no client can write resources of the type: every attribute is read-only.
    pub fn is_read_only(&self) -> bool {
        let read_only = |attribute: &Attribute| attribute.mutability == Mutability::ReadOnly;
        self.schemas().all(|schema| schema.attributes.iter().all(read_only))
    }

    /// The type as the server itself writes its resources.
    pub fn writable(&self) -> Self {
        let mut schema = (*self.schema).clone();
        for attribute in &mut schema.attributes {
            attribute.mutability = Mutability::ReadWrite;
        }
        Self { schema: Arc::new(schema), ..self.clone() }
    }

    /// The base schema, then the extensions.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        let extensions = self.extensions.iter().map(|extension| &extension.schema);
        std::iter::once(&self.schema).chain(extensions)
    }

    /// True for the type that RFC 7643 §4.1 defines: what is special about users in the store and
    /// in events goes by it.
    pub fn is_user(&self) -> bool {
        self.schema.id == urn::USER
    }

    /// True for the type that RFC 7643 §4.2 defines, whose members are rows of their own.
    pub fn is_group(&self) -> bool {
        self.schema.id == urn::GROUP
    }

    /// True when stored documents have values that an answer must not show unasked.
    pub fn hides_attributes(&self) -> bool {
        self.hides_attributes
    }

    /// True when a resource of the one type is stored as one of the other would be.
    pub fn is_stored_like(&self, other: &Self) -> bool {
        let schemas = |of: &Self| -> Vec<Option<serde_json::Value>> {
            of.schemas().map(|schema| serde_json::to_value(&**schema).ok()).collect()
        };
        self.name == other.name
            && self.indexes == other.indexes
            && self.unique == other.unique
            && schemas(self) == schemas(other)
    }

    /// The extension with that URI, in any letter case.
    pub fn extension(&self, uri: &str) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.schema.id.eq_ignore_ascii_case(uri))
    }

    /// True for the URI of the base schema.
    pub fn is_base(&self, uri: &str) -> bool {
        self.schema.id.eq_ignore_ascii_case(uri)
    }

    /// A top-level attribute: of the base schema, or common to all types (`schemas`, `id`,
    /// `externalId`, `meta`).
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.schema.attribute(name).or_else(|| self.common.attribute(name))
    }

    /// The common attributes of RFC 7643 §3.1, which every type has.
    pub fn common(&self) -> &Schema {
        &self.common
    }

    /// What the path means here (RFC 7644 §3.10).
    ///
    /// A name without a URI is looked up in the base schema, then among the common attributes, then
    /// in the extensions if exactly one of them defines it. Letter case never matters.
    pub fn resolve(&self, path: &AttrPath) -> Option<Resolution<'_>> {
        let Some(prefix) = &path.schema else {
            if let Some(extension) = self.extension(&path.name) {
                return Some(Resolution::Extension(ExtensionRef(&extension.schema)));
            }
            return match self.attribute(&path.name) {
                Some(attribute) => with_sub(None, attribute, path.sub.as_deref()),
                None => self.resolve_in_any_extension(path),
            };
        };
        // The last colon may stand inside a URI, also in one that begins with another schema's.
        if let Some(extension) = self.extension(&path.to_string()) {
            return Some(Resolution::Extension(ExtensionRef(&extension.schema)));
        }
        if let Some((extension, attribute)) = self.attribute_of(prefix, &path.name) {
            return with_sub(extension, attribute, path.sub.as_deref());
        }
        // The legacy dot form, `urn:…:2.0:User.manager`.
        let whole = format!("{prefix}:{}", path.name);
        let (extension, attribute) = self.attribute_of(&whole, path.sub.as_deref()?)?;
        with_sub(extension, attribute, None)
    }

    /// The attribute that the schema with that URI defines for this type; a common attribute may
    /// carry the URI of the base schema.
    fn attribute_of(&self, uri: &str, name: &str) -> Option<(Option<&Schema>, &Attribute)> {
        if self.is_base(uri) {
            return Some((None, self.attribute(name)?));
        }
        let schema = &*self.extension(uri)?.schema;
        Some((Some(schema), schema.attribute(name)?))
    }

    fn resolve_in_any_extension(&self, path: &AttrPath) -> Option<Resolution<'_>> {
        let mut found = self.extensions.iter().filter_map(|extension| {
            Some((&*extension.schema, extension.schema.attribute(&path.name)?))
        });
        let (schema, attribute) = found.next()?;
        match found.next() {
            Some(_) => None,
            None => with_sub(Some(schema), attribute, path.sub.as_deref()),
        }
    }

    /// Like [`ResourceType::resolve`], for places where only an attribute makes sense.
    pub fn resolve_attribute(&self, path: &AttrPath) -> Option<AttrRef<'_>> {
        match self.resolve(path)? {
            Resolution::Attribute(found) => Some(found),
            Resolution::Extension(_) => None,
        }
    }
}

fn with_sub<'t>(
    extension: Option<&'t Schema>,
    attribute: &'t Attribute,
    sub: Option<&str>,
) -> Option<Resolution<'t>> {
    let sub = match sub {
        None => None,
        Some(name) => Some(attribute.sub(name)?),
    };
    Some(Resolution::Attribute(AttrRef { extension, attribute, sub }))
}

/// True when the attribute or a part of it is stored but not shown unasked.
fn hides(attribute: &Attribute) -> bool {
    let hidden = |returned| matches!(returned, Returned::Never | Returned::Request);
    attribute.kept == Kept::InDocument
        && (hidden(attribute.returned)
            || attribute.sub_attributes.iter().any(|sub| hidden(sub.returned)))
}

/// The resource types of a directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    types: Vec<Arc<ResourceType>>,
    /// What a directory can have besides: the roles and entitlements that its users can be given.
    catalogue: [Arc<ResourceType>; 2],
    common: Arc<Schema>,
}

impl Registry {
    /// User with the Enterprise extension, and Group: what RFC 7643 defines.
    pub fn builtin() -> Self {
        let common = Arc::new(parse(include_str!("builtin/common.json")));
        let mut user = parse(include_str!("builtin/user.json"));
        keep(&mut user, "password", Kept::Nowhere);
        let mut group = parse(include_str!("builtin/group.json"));
        keep(&mut group, "members", Kept::AsMembers);
        let enterprise = Arc::new(parse(include_str!("builtin/enterprise_user.json")));
        let user = Parts {
            name: "User".into(),
            endpoint: "/Users".into(),
            description: user.description.clone(),
            id_prefix: "directory_user".into(),
            schema: Arc::new(user),
            extensions: vec![Extension { schema: enterprise, required: false }],
        };
        let group = Parts {
            name: "Group".into(),
            endpoint: "/Groups".into(),
            description: group.description.clone(),
            id_prefix: "directory_group".into(),
            schema: Arc::new(group),
            extensions: Vec::new(),
        };
        let catalogue = [
            ("/Roles", include_str!("builtin/role.json")),
            ("/Entitlements", include_str!("builtin/entitlement.json")),
        ];
        let make = |parts| Arc::new(ResourceType::new(parts, &common));
        Self {
            types: [user, group].map(make).into(),
            catalogue: catalogue.map(|(endpoint, text)| make(catalogue_parts(endpoint, text))),
            common: Arc::clone(&common),
        }
    }

    /// The types Role and Entitlement (draft-ietf-scim-roles-entitlements), whether or not they are
    /// served.
    pub fn catalogue(&self) -> &[Arc<ResourceType>; 2] {
        &self.catalogue
    }

    /// Serves those of the catalogue that a directory has values of.
    pub fn with_catalogue(mut self, has: impl Fn(&str) -> bool) -> Self {
        let served = self.catalogue.iter().filter(|resource_type| has(&resource_type.name));
        self.types.extend(served.cloned());
        self
    }

    /// Replaces or adds types.
    pub(super) fn with_types(&self, make: impl FnOnce(&Arc<Schema>) -> Vec<ResourceType>) -> Self {
        let mut types = self.types.clone();
        for made in make(&self.common) {
            match types.iter_mut().find(|known| known.name == made.name) {
                Some(known) => *known = Arc::new(made),
                None => types.push(Arc::new(made)),
            }
        }
        Self { types, catalogue: self.catalogue.clone(), common: Arc::clone(&self.common) }
    }

    pub fn types(&self) -> &[Arc<ResourceType>] {
        &self.types
    }

    /// The type with that name (`User`), in any letter case.
    pub fn by_name(&self, name: &str) -> Option<&Arc<ResourceType>> {
        self.types.iter().find(|t| t.name.eq_ignore_ascii_case(name))
    }

    /// The type served at that path segment (`Users`), in any letter case.
    pub fn by_endpoint(&self, segment: &str) -> Option<&Arc<ResourceType>> {
        self.types.iter().find(|t| {
            t.endpoint.strip_prefix('/').is_some_and(|name| name.eq_ignore_ascii_case(segment))
        })
    }

    /// Every schema once: base schemas first, then extensions, in the order of the types.
    pub fn schemas(&self) -> Vec<Arc<Schema>> {
        let mut schemas: Vec<Arc<Schema>> = Vec::new();
        let bases = self.types.iter().map(|t| &t.schema);
        let extensions = self.types.iter().flat_map(|t| t.extensions.iter().map(|e| &e.schema));
        for schema in bases.chain(extensions) {
            if !schemas.iter().any(|known| known.id == schema.id) {
                schemas.push(Arc::clone(schema));
            }
        }
        schemas
    }

    /// The User type; every directory has it.
    #[expect(clippy::expect_used, reason = "`builtin` puts it there and nothing removes types")]
    pub fn user(&self) -> &Arc<ResourceType> {
        self.by_name("User").expect("every registry has User")
    }
}

fn catalogue_parts(endpoint: &str, text: &str) -> Parts {
    let schema = parse(text);
    Parts {
        name: schema.name.clone(),
        endpoint: endpoint.to_owned(),
        description: schema.description.clone(),
        id_prefix: "directory_resource".into(),
        schema: Arc::new(schema),
        extensions: Vec::new(),
    }
}

fn keep(schema: &mut Schema, name: &str, kept: Kept) {
    for attribute in schema.attributes.iter_mut().filter(|attribute| attribute.name == name) {
        attribute.kept = kept;
    }
}

#[expect(clippy::expect_used, reason = "the files are compiled in and a test reads them")]
fn parse(text: &str) -> Schema {
    serde_json::from_str(text).expect("built-in schemas are well formed")
}
