//! Reading of the paths that a source file mentions, from its tokens.

use super::{Module, ModulePath, Reference};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;

/// Reads the paths of one file.
pub(super) struct Reader<'a> {
    pub paths: &'a BTreeSet<ModulePath>,
    pub module: Module,
    /// Length of the file's own module path: modules below it are inline.
    pub depth: usize,
}

impl Reader<'_> {
    /// Walks through tokens that stand in the module `place`, an inline one perhaps.
    pub fn walk(&mut self, tokens: TokenStream, place: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut i = 0;
        while i < tokens.len() {
            if is_test_attribute(&tokens[i..]) {
                i += 2 + length_of_item(&tokens[i + 2..]);
                continue;
            }
            match &tokens[i] {
                TokenTree::Ident(ident) if ident == "use" => {
                    let end = i + length_of_item_until_semicolon(&tokens[i..]);
                    self.use_tree(&tokens[i + 1..end], &mut Vec::new(), place);
                    i = end;
                }
                TokenTree::Ident(ident) if ident == "mod" => {
                    if let [_, TokenTree::Ident(name), TokenTree::Group(body), ..] = &tokens[i..] {
                        self.walk(body.stream(), &[place, &[name.to_string()]].concat());
                        i += 2;
                    }
                }
                TokenTree::Ident(_) if !follows_path_or_field(&tokens, i) => {
                    let path = path_at(&tokens[i..]);
                    let line = tokens[i].span().start().line;
                    if path.len() > 1 {
                        self.refer(&path, place, line);
                    }
                    // A path's idents and colons.
                    i += 3 * path.len().saturating_sub(1);
                }
                TokenTree::Group(group) => self.walk(group.stream(), place),
                _ => {}
            }
            i += 1;
        }
    }

    /// The part of a `use` behind `prefix`.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &mut Vec<String>, place: &[String]) {
        let length = prefix.len();
        let mut line = 0;
        let mut rest = tokens.iter().peekable();
        let mut alias = None;
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Ident(ident) if ident == "as" => {
                    alias = rest.next().map(ToString::to_string);
                }
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    prefix.push(ident.to_string());
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in
                        inner.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','))
                    {
                        self.use_tree(part, prefix, place);
                    }
                    prefix.truncate(length);
                    return;
                }
                _ => {}
            }
        }
        if prefix.len() > length {
            // `use a::{self}` is `use a`.
            if prefix.len() > 1 && prefix.last().is_some_and(|last| last == "self") {
                prefix.pop();
            }
            if let Some(path) = self.refer(prefix, place, line) {
                let name = alias.or_else(|| path.last().cloned());
                if let (Some(name), true) = (name, place.len() == self.depth) {
                    self.module.names.insert(name, path);
                }
            }
        }
        prefix.truncate(length);
    }

    /// Notes a path, if it leads into this crate; returns it from the crate's root.
    fn refer(&mut self, path: &[String], place: &[String], line: usize) -> Option<ModulePath> {
        let mut base = place.to_vec();
        let mut rest = path;
        match path[0].as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                let is_child = self.paths.contains(&base);
                base.pop();
                if !is_child {
                    return None;
                }
            }
        }
        let to = [&base[..], rest].concat();
        self.module.references.push(Reference { to: to.clone(), line });
        Some(to)
    }
}

/// The idents of a path such as `crate::a::b` at the beginning of `tokens`.
fn path_at(tokens: &[TokenTree]) -> Vec<String> {
    let mut path = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(ident), after @ ..] = rest {
        path.push(ident.to_string());
        match after {
            [TokenTree::Punct(a), TokenTree::Punct(b), next @ ..]
                if a.as_char() == ':' && b.as_char() == ':' && matches!(next, [TokenTree::Ident(_), ..]) =>
            {
                rest = next;
            }
            _ => break,
        }
    }
    path
}

/// True for `x` in `::x` and `.x`, but not in `name: x` and `0..x`.
fn follows_path_or_field(tokens: &[TokenTree], i: usize) -> bool {
    let punct = |before: usize| match i.checked_sub(before).map(|at| &tokens[at]) {
        Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
        _ => None,
    };
    match punct(1) {
        Some(':') => punct(2) == Some(':'),
        Some('.') => punct(2) != Some('.'),
        _ => false,
    }
}

/// True if `tokens` begin with `#[cfg(test)]`.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(hash), TokenTree::Group(group), ..]
        if hash.as_char() == '#' && group.to_string().replace(' ', "") == "[cfg(test)]")
}

/// Number of tokens of the item at the beginning: to its braces or semicolon.
fn length_of_item(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1)
}

/// Number of tokens in front of the next semicolon.
fn length_of_item_until_semicolon(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    tokens.iter().position(is_end).unwrap_or(tokens.len())
}
