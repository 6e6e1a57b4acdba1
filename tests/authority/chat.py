"""Writes chat.json: chat templates as transformers renders them.

    pip install transformers==5.23.0 jinja2 && python tests/authority/chat.py

The templates are written here in the manner of published ones: ChatML, Llama 2 and 3, Gemma, and single features.
"""
import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

TEMPLATES = {
    "chatml": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama3": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\\n\\nToday: " + date_string + "\\n\\n" + system_message + "<|eot|>" }}
{%- for message in messages %}
    {{- '<|start|>' + message['role'] + '<|end|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
""",
    "gemma": """{{ bos_token }}
{%- if messages[0].role == 'system' -%}
  {%- set first_user_prefix = messages[0].content + '\\n\\n' -%}
  {%- set loop_messages = messages[1:] -%}
{%- else -%}
  {%- set first_user_prefix = "" -%}
  {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
  {%- if (message['role'] == 'assistant') -%}
    {%- set role = "model" -%}
  {%- else -%}
    {%- set role = message['role'] -%}
  {%- endif -%}
{{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
  {%- if message['content'] is string -%}
{{ message['content'] | trim }}
  {%- endif -%}
{{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<start_of_turn>model\\n' }}
{%- endif -%}
""",
    "blocks": "{{ bos_token }}\n{% if true %}\n  x\n{% endif %}\n  {% for m in messages %}\n- {{ m.role }}\n  {% endfor %}\nend\n",
    "namespace": "{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% set ns.last = m.role %}{% endfor %}{{ ns.n }} {{ ns.last }}",
    "json": "{% for m in messages %}{{ m | tojson }}{% endfor %}{{ [1, 2.5, true, none, 'é\"'] | tojson }}",
    "indented": "{{ messages | tojson(indent=2) }}",
    "strings": "{{ messages[0].content.startswith(' A') }} {{ messages[0]['content'].upper().strip() }} "
    "{{ messages[0].content.split()[0] }} {{ 'a-b'.replace('-', '+') }} {{ 'a,b'.split(',') | join('|') }} "
    "{{ messages[-1].content.lstrip() }}|{{ messages[-1].content.rstrip() }}|{{ '</x>' in 'a</x>b' }} {{ 'abc'[::-1] }} "
    "{{ 'a</t>b'.split('</t>')[-1] }} {{ 'x' * 3 }} {{ messages | length }} {{ none is none }} {{ false }}",
    "loops": "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ loop.index }}"
    "{% if loop.index > 2 %}{% break %}{% endif %}{{ loop.previtem.role if loop.previtem is defined }}{% endfor %}",
    "macros": "{% macro turn(role, text='none') %}[{{ role }}: {{ text }}]{% endmacro %}"
    "{% for m in messages %}{{ turn(m.role, m.content) }}{% endfor %}{{ turn('x') }}",
    "unescaped": "{{ '<b> & \"q\" \\'s\\'' }}",
    "dictionaries": "{% for m in messages %}{% for k, v in m.items() %}{{ k }}={{ v | length }};{% endfor %}"
    "{{ m.get('tool', 'no tool') }} {{ 'role' in m }} {% endfor %}",
    "filters": "{{ messages | map(attribute='role') | join(', ') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} "
    "{{ 'abc' | upper | replace('B', 'x') | default('y') }} {{ messages[0].missing | default('none') }} {{ (messages | first).role }}",
}

CONVERSATIONS = [
    [{"role": "user", "content": " A question? "}],
    [{"role": "system", "content": "Be <b>brief</b> & \"kind\"."}, {"role": "user", "content": "Größe\n日本語"}],
    [{"role": "user", "content": " A\n"}, {"role": "assistant", "content": " an answer "}, {"role": "user", "content": " next 🦊"}],
    [{"role": "user", "content": " A"}, {"role": "user", "content": "B"}],
]


def rendered(template, messages):
    try:
        return _compile_jinja_template(template).render(
            messages=messages, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
    except Exception as error:
        return {"error": str(error)}


def main():
    rows = [
        {"name": name, "template": template, "messages": messages, "text": rendered(template, messages)}
        for name, template in TEMPLATES.items() for messages in CONVERSATIONS
    ]
    lines = ",\n".join(json.dumps(row) for row in rows)
    pathlib.Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")


main()
