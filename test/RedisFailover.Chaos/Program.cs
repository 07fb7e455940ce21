using RedisFailover.Chaos;
using RedisFailover.Chaos.Load;

// scripts/chaos.sh starts "run"; "run" starts the clients, each a process of its own on a network of its own.
using CancellationTokenSource interrupted = new();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    interrupted.Cancel();
};
try
{
    if (args.Contains("--help"))
    {
        Console.WriteLine(ChaosOptions.Usage);
        return 0;
    }

    return args switch
    {
        ["load", .. string[] rest] => await LoadProcess.RunAsync(rest, interrupted.Token),
        _ => await ChaosProgram.RunAsync(args, interrupted.Token),
    };
}
catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
{
    return 130;
}
catch (ChaosException e)
{
    await Console.Error.WriteLineAsync("chaos: " + e.Message);
    return 2;
}
