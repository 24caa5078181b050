//! `format=flowed` (RFC 3676): lines that the sender's program broke are joined again.

/// Joins the soft-broken lines of `text`. `delete_space` is the parameter `DelSp`.
pub(crate) fn unwrap(text: &str, delete_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let depth = content.bytes().take_while(|&byte| byte == b'>').count();
        let unquoted = content.get(depth..).unwrap_or_default();
        // Space-stuffing, RFC 3676 section 4.4.
        let unstuffed = unquoted.strip_prefix(' ').unwrap_or(unquoted);
        let is_signature = unstuffed == "-- ";
        if open == Some(depth) && !is_signature {
            out.push_str(unstuffed);
        } else {
            if open.is_some() {
                out.push('\n');
            }
            out.push_str(content.get(..depth).unwrap_or_default());
            if depth > 0 && !unstuffed.is_empty() {
                out.push(' ');
            }
            out.push_str(unstuffed);
        }
        let soft = unstuffed.ends_with(' ') && !is_signature && !unstuffed.trim().is_empty();
        if soft {
            if delete_space {
                out.pop();
            }
            open = Some(depth);
        } else {
            open = None;
            if line.ends_with('\n') {
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::unwrap;

    #[test]
    fn soft_breaks_are_joined_within_one_quote_depth() {
        assert_eq!(unwrap("> a \n> b\nc \nd\n-- \nname\n", false), "> a b\nc d\n-- \nname\n");
        assert_eq!(unwrap("> a \nb\n", false), "> a \nb\n");
        assert_eq!(unwrap("ab \ncd\n", true), "abcd\n");
        assert_eq!(unwrap(">> deep\n", false), ">> deep\n");
        assert_eq!(unwrap("", false), "");
    }
}
