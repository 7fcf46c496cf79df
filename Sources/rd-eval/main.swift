import Jobs

runCommand(EvaluationCommand.self, named: "rd-eval")
