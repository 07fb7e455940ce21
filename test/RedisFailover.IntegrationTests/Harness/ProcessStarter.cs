using System.Collections.Concurrent;
using System.Diagnostics;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>Starts children that the kernel kills when this process ends, however it ends.</summary>
/// <remarks>
/// The kernel's "parent death signal" follows the thread that forked, not the process: children of a thread-pool thread would die when
/// the pool retires that thread. So one thread, which lives as long as the process, starts them all.
/// </remarks>
internal static class ProcessStarter
{
    private static readonly BlockingCollection<(ProcessStartInfo Info, TaskCompletionSource<Process> Started)> Requests = [];
    private static readonly string? Setpriv = Programs.Find("setpriv");

    static ProcessStarter()
    {
        Thread thread = new(Run) { IsBackground = true, Name = "process starter" };
        thread.Start();
    }

    internal static Task<Process> StartAsync(ProcessStartInfo info)
    {
        if (Setpriv is not null)
        {
            // Where the tests run in the background of a script, Ctrl-C is ignored, and children inherit that: they would never end by it.
            string[] prefix = ["--pdeathsig", "KILL", "--", "env", "--default-signal=INT,QUIT", info.FileName];
            for (int i = 0; i < prefix.Length; i++)
            {
                info.ArgumentList.Insert(i, prefix[i]);
            }

            info.FileName = Setpriv;
        }

        TaskCompletionSource<Process> started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Requests.Add((info, started));
        return started.Task;
    }

    private static void Run()
    {
        foreach ((ProcessStartInfo info, TaskCompletionSource<Process> started) in Requests.GetConsumingEnumerable())
        {
            try
            {
                started.SetResult(Process.Start(info)!);
            }
            catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
            {
                started.SetException(e);
            }
        }
    }
}
