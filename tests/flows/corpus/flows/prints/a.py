def main():
    print("first")
    print("second", "line")
    return {"y": 1}
