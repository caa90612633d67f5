//! Matchers: parsed when they are loaded, never from a request.
//!
//! The language is that of Casbin's documentation (<https://casbin.org/docs/syntax-for-models>, "Matchers"): `&&`, `||`, `!`,
//! comparisons, `in`, literals, `r.` and `p.` fields, and functions. Arithmetic is left out: no model of the documentation has it.

use super::pattern::Function;

/// Brackets within brackets.
const NESTING_MAX: usize = 32;
/// Operators and calls of one matcher: the depth of a chain such as `a && b && c`.
const NODES_MAX: usize = 1000;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// `r.sub.attributes.department`, without the `r.`.
    Request(String),
    /// A column of the policy, `p.` taken off.
    Column(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<String>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    In(Box<Self>, Box<Self>),
    /// `g(r.sub, p.sub, r.dom)`, with the name of the role definition.
    Role(String, Vec<Self>),
    Call(Function, Vec<Self>),
    /// `eval(p.condition)`: the column holds a condition of its own.
    Eval(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Parses a matcher.
///
/// # Errors
/// What is wrong with it, with the offset in bytes.
pub(super) fn parse(text: &str) -> Result<Expression, (usize, String)> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, nodes: 0, end: text.len() };
    let expression = parser.or()?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err((token.at, format!("`{}` is not expected here", token.shown()))),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Word(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    at: usize,
}

impl Token {
    fn shown(&self) -> &str {
        match &self.kind {
            Kind::Word(text) | Kind::Text(text) | Kind::Number(text) => text,
            Kind::Sign(sign) => sign,
        }
    }
}

const SIGNS: [&str; 15] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", "-"];

fn tokens(text: &str) -> Result<Vec<Token>, (usize, String)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        let (kind, length) = match first {
            one if one.is_whitespace() => (None, one.len_utf8()),
            quote @ ('"' | '\'') => {
                let (value, length) = quoted(rest, quote)
                    .ok_or_else(|| (at, "the text that begins here does not end".to_owned()))?;
                (Some(Kind::Text(value)), length)
            }
            one if one.is_ascii_digit() => {
                let end = rest.find(|one: char| one != '.' && !one.is_ascii_digit()).unwrap_or(rest.len());
                (Some(Kind::Number(rest.get(..end).unwrap_or_default().to_owned())), end)
            }
            one if one == '_' || one.is_alphabetic() => {
                let end = rest
                    .find(|one: char| one != '_' && one != '.' && !one.is_alphanumeric())
                    .unwrap_or(rest.len());
                (Some(Kind::Word(rest.get(..end).unwrap_or_default().to_owned())), end)
            }
            other => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Some(Kind::Sign(sign)), sign.len()),
                None => return Err((at, format!("`{other}` has no meaning in a matcher"))),
            },
        };
        tokens.extend(kind.map(|kind| Token { kind, at }));
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, one)) = characters.next() {
        match one {
            one if one == quote => return Some((value, at + 1)),
            // A backslash before anything but these stays: patterns are full of them.
            '\\' => match characters.next()?.1 {
                one @ ('\\' | '"' | '\'') => value.push(one),
                one => {
                    value.push('\\');
                    value.push(one);
                }
            },
            one => value.push(one),
        }
    }
    None
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    nodes: usize,
    end: usize,
}

type Parsed = Result<Expression, (usize, String)>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn place(&self) -> usize {
        self.peek().map_or(self.end, |token| token.at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token { kind: Kind::Sign(own), .. }) if *own == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), (usize, String)> {
        if self.take(sign) { Ok(()) } else { Err((self.place(), format!("expected `{sign}`"))) }
    }

    fn count(&mut self) -> Result<(), (usize, String)> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err((self.place(), format!("a matcher has more than {NODES_MAX} operators")));
        }
        Ok(())
    }

    fn or(&mut self) -> Parsed {
        let mut all = vec![self.and()?];
        while self.take("||") {
            self.count()?;
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::Or(all) })
    }

    fn and(&mut self) -> Parsed {
        let mut all = vec![self.comparison()?];
        while self.take("&&") {
            self.count()?;
            all.push(self.comparison()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::And(all) })
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.unary()?;
        let comparison = match self.peek().map(|token| &token.kind) {
            Some(Kind::Sign("==")) => Comparison::Equal,
            Some(Kind::Sign("!=")) => Comparison::Unequal,
            Some(Kind::Sign("<")) => Comparison::Less,
            Some(Kind::Sign("<=")) => Comparison::LessOrEqual,
            Some(Kind::Sign(">")) => Comparison::Greater,
            Some(Kind::Sign(">=")) => Comparison::GreaterOrEqual,
            Some(Kind::Word(word)) if word == "in" => {
                self.at += 1;
                self.count()?;
                let list = self.list_or_field()?;
                return Ok(Expression::In(left.into(), list.into()));
            }
            _ => return Ok(left),
        };
        let place = self.place();
        if matches!(left, Expression::Not(_)) {
            return Err((
                place,
                "what `!` negates here depends on the implementation: use brackets".to_owned(),
            ));
        }
        self.at += 1;
        self.count()?;
        let right = self.unary()?;
        if matches!(
            self.peek().map(|token| &token.kind),
            Some(Kind::Sign("==" | "!=" | "<" | "<=" | ">" | ">="))
        ) {
            return Err((place, "comparisons are not chained: use brackets".to_owned()));
        }
        Ok(Expression::Compare(comparison, left.into(), right.into()))
    }

    /// What `in` looks in: `("a", "b")`, `["a", "b"]`, or a list of the request.
    fn list_or_field(&mut self) -> Parsed {
        let close = if self.take("(") {
            ")"
        } else if self.take("[") {
            "]"
        } else {
            return self.primary();
        };
        let mut items = Vec::new();
        loop {
            match self.peek().map(|token| token.kind.clone()) {
                Some(Kind::Text(text)) => items.push(text),
                _ => return Err((self.place(), "a list holds texts in quotes".to_owned())),
            }
            self.at += 1;
            if !self.take(",") {
                break;
            }
        }
        self.expect(close)?;
        Ok(Expression::List(items))
    }

    fn unary(&mut self) -> Parsed {
        if !self.take("!") {
            return self.primary();
        }
        self.count()?;
        self.enter()?;
        let inner = self.unary()?;
        self.depth -= 1;
        Ok(Expression::Not(inner.into()))
    }

    fn enter(&mut self) -> Result<(), (usize, String)> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err((self.place(), format!("brackets are nested deeper than {NESTING_MAX}")));
        }
        Ok(())
    }

    fn primary(&mut self) -> Parsed {
        let place = self.place();
        if self.take("(") {
            self.enter()?;
            let inner = self.or()?;
            self.depth -= 1;
            self.expect(")")?;
            return Ok(inner);
        }
        let negative = self.take("-");
        let Some(token) = self.peek().cloned() else {
            return Err((place, "the matcher ends where a value is expected".to_owned()));
        };
        self.at += 1;
        match token.kind {
            Kind::Number(number) => {
                let text = if negative { format!("-{number}") } else { number };
                let wrong = |_| (place, format!("`{text}` is no number"));
                if text.contains('.') {
                    return text.parse().map(Expression::Float).map_err(|_| wrong(()));
                }
                text.parse().map(Expression::Integer).map_err(|_| wrong(()))
            }
            _ if negative => Err((place, "`-` stands before numbers only".to_owned())),
            Kind::Text(text) => Ok(Expression::Text(text)),
            Kind::Word(word) => self.word(word, place),
            Kind::Sign(sign) => Err((place, format!("`{sign}` is not expected here"))),
        }
    }

    fn word(&mut self, word: String, place: usize) -> Parsed {
        if self.take("(") {
            self.count()?;
            self.enter()?;
            let mut arguments = vec![self.or()?];
            while self.take(",") {
                arguments.push(self.or()?);
            }
            self.depth -= 1;
            self.expect(")")?;
            return call(word, arguments, place);
        }
        match word.as_str() {
            "true" => return Ok(Expression::Boolean(true)),
            "false" => return Ok(Expression::Boolean(false)),
            _ => {}
        }
        match word.split_once('.') {
            Some(("r", path)) if is_path(path) => Ok(Expression::Request(path.to_owned())),
            Some(("p", path)) if is_path(path) && !path.contains('.') => {
                Ok(Expression::Column(path.to_owned()))
            }
            _ => Err((
                place,
                format!("`{word}` is nothing: fields are `r.NAME` and `p.NAME`, texts stand in quotes"),
            )),
        }
    }
}

fn is_path(path: &str) -> bool {
    path.split('.').all(|part| !part.is_empty())
}

fn call(name: String, arguments: Vec<Expression>, place: usize) -> Parsed {
    let count = arguments.len();
    if name == "eval" {
        return match arguments.as_slice() {
            [Expression::Column(column)] => Ok(Expression::Eval(column.clone())),
            _ => Err((place, "`eval` takes a column of the policy, such as `eval(p.condition)`".to_owned())),
        };
    }
    let is_role = name.strip_prefix('g').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    if is_role {
        return Ok(Expression::Role(name, arguments));
    }
    let function: Function = name.parse().map_err(|message| (place, message))?;
    if count != function.arity() {
        return Err((place, format!("`{name}` takes {} values, not {count}", function.arity())));
    }
    Ok(Expression::Call(function, arguments))
}
