//! The entity types as Cedar names, parsed once.

use cedar_policy::pst::EntityUID;
use cedar_policy::{EntityId, EntityTypeName, EntityUid, ParseErrors};

use super::names::TYPES;

/// The names of the entity types.
#[derive(Debug, Clone)]
pub(super) struct Types {
    names: Vec<(&'static str, EntityTypeName)>,
    action: EntityTypeName,
    unread: EntityTypeName,
}

impl Types {
    /// Parses the names.
    pub(super) fn new() -> Result<Self, Box<ParseErrors>> {
        let mut names = Vec::new();
        for name in TYPES {
            names.push((name, name.parse()?));
        }
        Ok(Self { names, action: "Action".parse()?, unread: "Unread".parse()? })
    }

    /// An entity of a type of ours.
    pub(super) fn uid(&self, of: &str, id: &str) -> Option<EntityUid> {
        let (_, name) = self.names.iter().find(|(name, _)| *name == of)?;
        Some(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
    }

    /// An action.
    pub(super) fn action(&self, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.action.clone(), EntityId::new(id))
    }

    /// Stands for a part that no policy reads.
    pub(super) fn unread(&self) -> EntityUid {
        EntityUid::from_type_name_and_id(self.unread.clone(), EntityId::new(""))
    }

    /// The entity that a policy names.
    pub(super) fn named(&self, entity: &EntityUID) -> Option<EntityUid> {
        self.uid(&entity.ty.to_string(), entity.eid.as_str())
    }
}
