def main(inputs):
    return {"y": f"kept {inputs['v'].number}"}
