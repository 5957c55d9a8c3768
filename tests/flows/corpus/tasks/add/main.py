def main(inputs):
    return {"sum": inputs["a"] + inputs["b"]}
