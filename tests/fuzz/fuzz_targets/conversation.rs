#![no_main]
fuzz::libfuzzer!(conversation);
