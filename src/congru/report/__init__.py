"""What people read: pictures, tables, verdicts and offline pages, for training, the gates and every task.

    page(title, [Section("Result", html), ...])          one HTML file that asks the network for nothing
    text_table(rows, header)   html_table(rows, header)  numbers aligned, the best marked
    verdict("bpc", 2.25, {"5-gram": 2.5}, minimize=True) whether the model is worth having, in one sentence
    line_chart({"validation": (steps, values)}, "bpc")   an SVG picture

Arrays and plain values go in, text goes out: nothing here knows what a model, a run or a gate is.
"""
