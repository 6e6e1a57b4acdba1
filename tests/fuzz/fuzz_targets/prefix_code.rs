#![no_main]
fuzz::libfuzzer!(prefix_code);
