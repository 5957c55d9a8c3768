def main():
    return {"y": 5}
