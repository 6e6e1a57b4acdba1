use super::*;
use crate::printable::shortened;
use serde_json::json;

const CHATML: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|assistant|>{% endif %}";
/// As Mistral's: an answer follows at once, and add_generation_prompt changes nothing.
const INSTRUCTIONS: &str = "{% for m in messages %}{% if m.role == 'user' %}[I]{{ m.content }}[/I]\
                            {% else %} {{ m.content | trim }}</s>{% endif %}{% endfor %}";

fn chat(turns: &[(&str, &str)]) -> Conversation {
    Conversation::Messages(turns.iter().map(|(role, text)| Message::new(role, text)).collect())
}

/// The text of tokens, with answers in brackets.
fn shown(marked: &Marked, tokenizer: &Tokenizer) -> String {
    let parts = marked.parts(tokenizer).into_iter();
    parts.map(|(own, text)| if own { format!("⟦{text}⟧") } else { text }).collect()
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, &[]).unwrap()
}

/// The text of a chat's tokens, with its answers in brackets.
fn marked(source: &str, turns: &[(&str, &str)]) -> String {
    let bytes = Tokenizer::bytes();
    shown(&chat(turns).mark(&bytes, Some(&template(source))).unwrap(), &bytes)
}

fn refused(source: &str, turns: &[(&str, &str)]) -> String {
    chat(turns).mark(&Tokenizer::bytes(), Some(&template(source))).unwrap_err().to_string()
}

/// Content and end of turn are marked, in every answer and nothing else; line ends after the end of a turn are not.
#[test]
fn answers_and_their_ends_are_marked() {
    let turns = [("system", "S"), ("user", "a\n"), ("assistant", "b\n"), ("user", "c")];
    let with_answer = [&turns[..], &[("assistant", "")]].concat();
    assert_eq!(
        marked(CHATML, &with_answer),
        "<|system|>S<|end|>\n<|user|>a\n<|end|>\n<|assistant|>⟦b\n<|end|>⟧\n<|user|>c<|end|>\n\
         <|assistant|>⟦<|end|>⟧\n"
    );
    let answers = [("user", "a"), ("assistant", " b "), ("user", "c"), ("assistant", "d")];
    assert_eq!(marked(INSTRUCTIONS, &answers), "[I]a[/I]⟦ b</s>⟧[I]c[/I]⟦ d</s>⟧");
    // A turn that ends with a line end: the line end is learned.
    let lines = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}\
                 {% if add_generation_prompt %}assistant:{% endif %}";
    assert_eq!(marked(lines, &answers[..2]), "user: a\nassistant:⟦  b \n⟧");
}

/// Messages after the last answer have no tokens, and are counted.
#[test]
fn what_follows_the_last_answer_is_dropped() {
    let turns = [("user", "a"), ("assistant", "b"), ("tool", "c"), ("user", "d")];
    let bytes = Tokenizer::bytes();
    let found = chat(&turns).mark(&bytes, Some(&template(CHATML))).unwrap();
    assert_eq!(found.dropped, 2);
    assert_eq!(bytes.decode(&found.tokens), "<|user|>a<|end|>\n<|assistant|>b<|end|>\n");
    assert_eq!(found.counted(), "b<|end|>".len());
}

/// Two pieces that become one at the border are a token of the answer.
#[test]
fn a_token_across_the_border_belongs_to_the_answer() {
    let tokenizer = Tokenizer::trained_bpe(&"assistant: yes\n".repeat(9), 270).unwrap();
    let lines = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}\
                 {% if add_generation_prompt %}assistant: {% endif %}";
    let turns = [("user", "hm"), ("assistant", "yes")];
    let found = chat(&turns).mark(&tokenizer, Some(&template(lines))).unwrap();
    let prompt = tokenizer.encode("user: hm\nassistant: ").unwrap();
    assert!(!found.tokens.starts_with(&prompt), "the space is a part of another token");
    assert_eq!(shown(&found, &tokenizer), "user: hm\nassistant:⟦ yes\n⟧");
    assert_eq!(found.tokens, tokenizer.encode("user: hm\nassistant: yes\n").unwrap());
}

/// Without a template, a completion follows its prompt as when it is generated, and the text's end follows.
#[test]
fn a_completion_without_a_template_ends_the_text() {
    let it = |prompt: &str, completion: &str| Conversation::Completion {
        prompt: prompt.to_owned(),
        completion: completion.to_owned(),
    };
    let bytes = Tokenizer::bytes();
    let show = |c: Conversation| shown(&c.mark(&bytes, None).unwrap(), &bytes);
    assert_eq!(show(it("2+2=", "4")), "2+2=⟦4\n⟧");
    assert_eq!(show(it("", "4\n")), "⟦4\n⟧");
    let bpe = Tokenizer::trained_bpe("low lower low", 260).unwrap();
    let found = it("low", " lower").mark(&bpe, None).unwrap();
    assert_eq!(shown(&found, &bpe), "low⟦ lower<|endoftext|>⟧");
    // With one, they are messages.
    let found = it("a", "b").mark(&bytes, Some(&template(CHATML))).unwrap();
    assert_eq!(
        found,
        chat(&[("user", "a"), ("assistant", "b")]).mark(&bytes, Some(&template(CHATML))).unwrap()
    );
}

/// A template whose text changes, or that does not show where an answer begins and ends, is refused, with what was
/// found.
#[test]
fn templates_that_do_not_mark_answers_are_refused() {
    let one = [("user", "a"), ("assistant", "b")];
    let two = [&one[..], &[("user", "c"), ("assistant", "d")]].concat();
    // Qwen3's: earlier answers lose what only the last one has.
    let strips = "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}<think>{% endif %}\
                  {{ m.content }};{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    assert!(marked(strips, &one).ends_with("<assistant>⟦<think>b;⟧"));
    let said = refused(strips, &two);
    assert!(
        said.contains("message 2 differently") && said.contains("\"<think>b;\" became \"b;"),
        "{said}"
    );
    // No generation prompt at all: the header would be learned.
    let headless = "{% for m in messages %}<{{ m.role }}>{{ m.content }};{% endfor %}";
    let said = refused(headless, &one);
    assert!(
        said.contains("does not mark answers") && said.contains("\"<assistant>\" before"),
        "{said}"
    );
    // A generation prompt always: the last answer would learn to write it.
    let always = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";
    let said = refused(always, &one);
    assert!(said.contains("does not stay if a message follows"), "{said}");
    let said = refused(always, &two);
    assert!(said.contains("message 2 differently"), "{said}");
    let without = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}";
    assert!(refused(without, &one).contains("the same with message 2 and without it"));
    let raises = "{{ raise_exception('no thanks') }}";
    assert!(refused(raises, &one).contains("no thanks"));
    let said = chat(&one).mark(&Tokenizer::bytes(), None).unwrap_err().to_string();
    assert!(said.contains("no chat template"), "{said}");
}

/// Objects of every form are read; others are refused with what was found.
#[test]
fn forms_are_read_or_refused() {
    let read = |value: Value| Conversation::from_json(&value);
    let both = json!([{"role": "user", "content": "a", "name": null}, {"role": "assistant", "content": "b"}]);
    let expected = chat(&[("user", "a"), ("assistant", "b")]);
    assert_eq!(read(json!({"messages": both, "id": 7})), Ok(expected));
    let pair = read(json!({"prompt": "a", "completion": "b", "score": 1})).unwrap();
    assert_eq!(pair.text(), "ab\n");
    let user = json!({"role": "user", "content": "a"});
    let tool = json!({"role": "assistant", "content": "", "tool_calls": []});
    for (value, parts) in [
        (json!([1]), ["this is [1]", "an object"]),
        (json!({"text": "a"}), ["its fields are \"text\"", "\"messages\""]),
        (json!({"prompt": "a"}), ["its fields are \"prompt\"", "\"completion\""]),
        (json!({"prompt": "a", "completion": 3}), ["\"completion\" is 3", "text is expected"]),
        (json!({"messages": "a"}), ["\"messages\" is \"a\"", "a list is expected"]),
        (json!({"messages": [{"role": "user"}]}), ["message 1 is {", "\"content\" is expected"]),
        (
            json!({"messages": [{"role": "user", "content": []}]}),
            ["content of message 1 is []", "text"],
        ),
        (
            json!({"messages": [user, tool]}),
            ["message 2 has the field \"tool_calls\"", "leave it out"],
        ),
        (json!({"messages": []}), ["it has no messages", "\"assistant\""]),
        (json!({"messages": [user]}), ["its roles are \"user\"", "no answer"]),
    ] {
        let said = read(value.clone()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{}: {said}", shortened(&value));
    }
    let empty = Conversation::Completion { prompt: "a".into(), completion: String::new() };
    let letters = Tokenizer::characters_of("a");
    assert!(
        empty.mark(&letters, None).unwrap_err().to_string().contains("the completion is empty")
    );
}
