//! Administrators who are signed in to the console.

use serde_json::json;

use super::{Answer, Browser, TestApp, form_field};

/// The password of every administrator of a test.
pub const PASSWORD: &str = "correct horse battery";

impl TestApp {
    /// A browser in which an administrator with that role is signed in; its address is `<role>@example.com`.
    #[track_caller]
    pub fn signed_in(&self, role: &str) -> Browser {
        let email = format!("{role}@example.com");
        let body = json!({"email": email, "name": format!("The {role}"), "role": role, "password": PASSWORD});
        self.api.post("/api/v1/admins", body).expect(201);
        let browser = Browser::new(&self.url);
        browser.sign_in(&email, PASSWORD).expect(303);
        browser
    }
}

impl Browser {
    /// Opens the page that signs in and sends its form.
    #[track_caller]
    pub fn sign_in(&self, email: &str, password: &str) -> Answer {
        let page = self.get("/console/sign-in").expect(200);
        let proof = form_field(&page, "proof");
        let fields = [("proof", &*proof), ("email", email), ("password", password)];
        self.post("/console/sign-in", &fields)
    }

    /// Sends a form of the console with these fields and the session's proof.
    #[track_caller]
    pub fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let proof = form_field(&self.get("/console/account").expect(200), "proof");
        self.post(path, &[&[("proof", &*proof)], fields].concat())
    }

    /// The same with a file (`multipart/form-data`).
    #[track_caller]
    pub fn submit_file(&self, path: &str, fields: &[(&str, &str)], file: &str) -> Answer {
        let proof = form_field(&self.get("/console/account").expect(200), "proof");
        self.upload(path, &[&[("proof", &*proof)], fields].concat(), ("a file", file))
    }
}
