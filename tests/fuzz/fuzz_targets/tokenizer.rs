#![no_main]
fuzz::libfuzzer!(tokenizer);
