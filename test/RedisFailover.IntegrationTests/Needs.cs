using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests;

/// <summary>What a test needs that not every machine or server has. Where it is missing the test is skipped, with a word.</summary>
internal static class Needs
{
    /// <param name="least">"6.2".</param>
    /// <param name="what">What an older one cannot do.</param>
    internal static void Redis(string least, string what)
    {
        if (RedisVersion.Current < Version.Parse(least))
        {
            Assert.Ignore($"{what} needs Redis {least}; {Programs.RedisServer} is {RedisVersion.Current}");
        }
    }


    /// <summary>Network namespaces, for a cable that is cut.</summary>
    internal static void Machines()
    {
        if (Lab.Missing is { } missing)
        {
            Assert.Ignore(missing);
        }
    }

    /// <summary>Root, for a process that may do less than the tests.</summary>
    internal static void Root()
    {
        if (Environment.UserName != "root")
        {
            Assert.Ignore("Only root can start a process that may do less");
        }
    }
}
