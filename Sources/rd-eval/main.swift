import Jobs

runCommand(EvaluationTool.self, named: "rd-eval")
