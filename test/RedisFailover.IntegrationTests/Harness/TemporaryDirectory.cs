using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>
/// A directory of its own for one server. What runs that were killed left behind is swept when the next run makes its first.
/// </summary>
public sealed class TemporaryDirectory : IDisposable
{
    private const string Prefix = "redis-failover-test-";
    private static readonly Lazy<bool> Swept = new(SweepLeftovers);
    private static int _last;

    public TemporaryDirectory(string purpose)
    {
        _ = Swept.Value;
        int number = Interlocked.Increment(ref _last);
        Path = System.IO.Path.Combine(
            System.IO.Path.GetTempPath(),
            string.Create(CultureInfo.InvariantCulture, $"{Prefix}{Environment.ProcessId}-{number}-{purpose}"));
        Directory.CreateDirectory(Path);
    }

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Somebody tidied up before us.
        }
    }

    private static bool SweepLeftovers()
    {
        foreach (string directory in Directory.EnumerateDirectories(System.IO.Path.GetTempPath(), Prefix + "*"))
        {
            string pid = System.IO.Path.GetFileName(directory)[Prefix.Length..].Split('-')[0];
            if (Directory.Exists("/proc/self") && !Directory.Exists("/proc/" + pid))
            {
                try
                {
                    Directory.Delete(directory, recursive: true);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // Another user's, or another run sweeps it at this moment.
                }
            }
        }

        return true;
    }
}
