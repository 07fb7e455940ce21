using System.Diagnostics;
using System.Text.RegularExpressions;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>Which Redis the tests run on.</summary>
public static partial class RedisVersion
{
    private static readonly Lazy<Version> Known = new(Ask);

    /// <summary>As "redis-server --version" says; Valkey counts as the Redis that it continues.</summary>
    public static Version Current => Known.Value;

    private static Version Ask()
    {
        ProcessStartInfo info = new(Programs.RedisServer, "--version") { RedirectStandardOutput = true };
        using Process process = Process.Start(info)!;
        string said = process.StandardOutput.ReadToEnd();
        Match version = Digits().Match(said);
        return version.Success
            ? Version.Parse(version.Groups[1].Value) : throw new InvalidOperationException($"{Programs.RedisServer} --version said {said}");
    }

    [GeneratedRegex(@"v=(\d+\.\d+\.\d+)")]
    private static partial Regex Digits();
}
