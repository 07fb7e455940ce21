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
}
