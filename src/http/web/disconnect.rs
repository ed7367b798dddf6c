//! What a form about the end of a connection asks for, on both surfaces.

use super::browser::Form;
use crate::service::disconnect::{DisconnectRequest, Disconnection};
use crate::service::error::AdminError;

pub(in crate::http) enum Act {
    Disconnect(DisconnectRequest),
    CallOff,
}

impl Act {
    /// # Errors
    /// 422 for what no page offers.
    pub(in crate::http) fn read(form: &Form) -> Result<Self, AdminError> {
        let mode = match form.get("mode") {
            "call_off" => return Ok(Self::CallOff),
            "freeze" => Disconnection::Freeze,
            "deprovision" => Disconnection::Deprovision,
            "hand_over" => Disconnection::HandOver,
            _ => {
                let message = "it is none of those that the page offers.";
                return Err(AdminError::invalid("mode", message));
            }
        };
        let to = Some(form.get("to").to_owned()).filter(|to| !to.is_empty());
        Ok(Self::Disconnect(DisconnectRequest { to, ..DisconnectRequest::new(mode) }))
    }

    /// The word of what was done, for the address that it leads to.
    pub(in crate::http) fn said(&self) -> &'static str {
        match self {
            Self::CallOff => "called_off",
            Self::Disconnect(wanted) if wanted.mode == Disconnection::Freeze => "frozen",
            Self::Disconnect(_) => "disconnecting",
        }
    }
}
