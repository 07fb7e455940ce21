using System.Collections.Immutable;
using System.Diagnostics;
using NUnit.Framework;

namespace RedisFailover.ContainerTests;

/// <summary>What a command said.</summary>
internal sealed record Said(int ExitCode, string Output, string Errors)
{
    public override string ToString() => $"exit code {ExitCode}\n--- stdout\n{Output}\n--- stderr\n{Errors}";
}

/// <summary>The container engine, by its own tools. scripts/test-containers.sh sees to it that one answers and has the images.</summary>
internal static class Engine
{
    internal static string RedisImage => Variable("REDIS_IMAGE") ?? "redis:7";

    internal static string ZooKeeperImage => Variable("ZOOKEEPER_IMAGE") ?? "zookeeper:3.9";

    internal static string MonitorImage => Variable("MONITOR_IMAGE") ?? "redis-failover-zk";

    /// <summary>Further images of Redis, each of which is failed over once.</summary>
    internal static ImmutableArray<string> RedisImages => Words("REDIS_IMAGES", "redis:5 redis:6.2 redis:7.4 redis:8 valkey/valkey:8");

    /// <summary>Further images of ZooKeeper, beside each of which a master is failed over once.</summary>
    internal static ImmutableArray<string> ZooKeeperImages => Words("ZOOKEEPER_IMAGES", "zookeeper:3.9");

    /// <summary>The two images of a rolling upgrade.</summary>
    internal static ImmutableArray<string> Upgrade => Words("REDIS_UPGRADE", "redis:6.2 redis:7.4");

    /// <summary>Skips the test, with a word, where no engine answers or an image is missing that cannot be pulled.</summary>
    internal static async Task RequireAsync(params string[] images)
    {
        Said version = await RunAsync("docker", ["version"]);
        if (version.ExitCode != 0)
        {
            Assert.Ignore("no container engine answers; scripts/test-containers.sh starts one");
        }

        foreach (string image in images)
        {
            if ((await RunAsync("docker", ["image", "inspect", image])).ExitCode != 0
                && (await RunAsync("docker", ["pull", "-q", image])).ExitCode != 0)
            {
                Assert.Ignore($"the image {image} is not here and cannot be pulled; scripts/test-containers.sh makes what it can");
            }
        }
    }

    /// <summary>Runs a program to its end; exit code 127 where there is none.</summary>
    internal static async Task<Said> RunAsync(
        string program, ImmutableArray<string> arguments, ImmutableDictionary<string, string>? environment = null)
    {
        ProcessStartInfo info = new(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        foreach ((string name, string value) in environment ?? ImmutableDictionary<string, string>.Empty)
        {
            info.Environment[name] = value;
        }

        try
        {
            using Process process = Process.Start(info)!;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            Task<string> errors = process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync();
            return new Said(process.ExitCode, await output, await errors);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return new Said(127, "", e.Message);
        }
    }

    /// <summary>As <see cref="RunAsync"/>, and it has to succeed.</summary>
    internal static async Task<string> DoAsync(string program, params ImmutableArray<string> arguments)
    {
        Said said = await RunAsync(program, arguments);
        Assert.That(said.ExitCode, Is.Zero, $"{program} {string.Join(' ', arguments)}: {said}");
        return said.Output.Trim();
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;

    private static ImmutableArray<string> Words(string name, string otherwise)
        => [.. (Variable(name) ?? otherwise).Split(' ', StringSplitOptions.RemoveEmptyEntries)];
}
