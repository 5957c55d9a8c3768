def main(inputs):
    return {"out": [inputs["a"], inputs["b"], inputs["c"]]}
