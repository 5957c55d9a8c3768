def main():
    return {"y": 1, "z": 2}
