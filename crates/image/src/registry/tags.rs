//! The tags of a repository (distribution specification, "Listing Tags").

use http::{Answer, Call, Method};
use serde::Deserialize;

use super::fields::next_page;
use super::{RegistryError, Repository};
use crate::Result;

/// How many tags are asked for at once.
const PAGE: usize = 1000;

/// The most pages that are read: more is a circle, or hostile.
const PAGES: usize = 1000;

#[derive(Deserialize)]
struct List {
    /// Some registries write `null` for none.
    tags: Option<Vec<String>>,
}

/// A part of the list.
struct Page {
    tags: Vec<String>,
    /// The address of the part that follows.
    next: Option<String>,
}

impl Repository {
    /// All tags, in the registry's order.
    ///
    /// # Errors
    /// [`RegistryError::NoRepository`] and those of any request.
    pub fn tags(&self) -> Result<Vec<String>> {
        let action = self.doing("list the tags of");
        let mut tags = Vec::new();
        let mut url = self.url(&format!("tags/list?n={PAGE}"))?;
        for _ in 0..PAGES {
            let Some(page) = self.page(&action, &url)? else {
                return Err(self.no_repository().into());
            };
            tags.extend(page.tags);
            match page.next {
                Some(next) => url = next,
                None => return Ok(tags),
            }
        }
        Err(RegistryError::nonsense(&action, format!("the list has more than {PAGES} pages")).into())
    }

    /// Up to `count` tags; none when there is no repository.
    pub(super) fn first_tags(&self, count: usize) -> Result<Option<Vec<String>>, RegistryError> {
        let url = self.url(&format!("tags/list?n={count}"))?;
        let page = self.page(&self.doing("list the tags of"), &url)?;
        Ok(page.map(|page| page.tags.into_iter().take(count).collect()))
    }

    fn page(&self, action: &str, url: &str) -> Result<Option<Page>, RegistryError> {
        let call = Call { limit: 8 << 20, ..Call::new(Method::Get, url) };
        let answer = self.ask(action, &call)?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(RegistryError::refused(action, &answer)),
        }
        let list: List = serde_json::from_slice(&answer.body)
            .map_err(|error| RegistryError::nonsense(action, error.to_string()))?;
        // They are shown to people.
        let plain = |tag: &String| !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_graphic());
        let tags = list.tags.unwrap_or_default().into_iter().filter(plain).collect();
        Ok(Some(Page { tags, next: next(action, &answer)? }))
    }
}

/// The address of the next page, which is one of the same server.
pub(super) fn next(action: &str, answer: &Answer) -> Result<Option<String>, RegistryError> {
    let Some(reference) = answer.all("link").find_map(next_page) else { return Ok(None) };
    let next = answer.follow(reference).map_err(|failure| RegistryError::transfer(action, failure))?;
    if !http::same_server(&next, answer.url()) {
        return Err(RegistryError::nonsense(action, "the next page of the list is at another server"));
    }
    Ok(Some(next))
}
