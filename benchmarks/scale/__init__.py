"""What a broker does with many subscribers: measured, put into a model, and told in ``docs/scale.md``.

``python -m benchmarks.scale`` measures, writes ``benchmarks/measured/scale.jsonl``, and from that the tables, the sentences
with figures and the chart of ``docs/scale.md``. ``python -m benchmarks.scale.model`` prints the model, and
``python -m benchmarks.scale.doc`` writes the page again from what was measured before.
"""
