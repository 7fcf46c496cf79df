print("rd-eval")
