using System.Runtime.InteropServices;
using RedisFailover.Cli;

// Ctrl-C and SIGTERM end a command in its own way: watch just ends, load prints its report first.
using CancellationTokenSource ended = new();
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);

return await CommandLine.RunAsync(args, Console.Out, Console.Error, ended.Token);

void End(PosixSignalContext context)
{
    context.Cancel = true;
    ended.Cancel();
}
